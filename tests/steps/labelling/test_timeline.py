"""The curves of a day: what changes stands out, and what daylight does does not."""

from datetime import date

import numpy as np
from drawing import encoded
from PIL import Image

from benchmarks.made_lake import frame_name, make_lake
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.sitting import Sitting
from steps.labelling.timeline import relative_change, timeline


def test_a_new_state_stands_out_and_a_sunrise_does_not():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(96, 100), size=60).astype(np.float32)
    shares[20:40, 0] += 0.3  # something is there, for twenty frames
    ramp = np.linspace(0, 1, 60)[:, None] * rng.dirichlet(np.ones(96)) * 0.5
    change = relative_change(shares + ramp.astype(np.float32))
    assert set(np.argsort(-change)[:2]) == {20, 40}
    assert min(change[[20, 40]]) > 2 > max(np.delete(change, [20, 40]))


def test_no_frame_one_frame_and_equal_frames_have_no_change():
    for count in (0, 1, 2, 30):
        assert (relative_change(np.ones((count, 96), np.float32)) == 0).all()


def test_frames_of_a_day_in_colour_and_grey(tmp_path):
    greys = [40] * 8 + [41, 200] + [201] * 8
    images = [
        Image.new("L" if number % 3 else "RGB", (40, 30), grey if number % 3 else (grey,) * 3)
        for number, grey in enumerate(greys)
    ]
    frames = [(frame_name(number), encoded(image, "PNG")) for number, image in enumerate(images)]
    frames += [(frame_name(5, device="other"), encoded(Image.new("L", (9, 9)), "PNG"))]
    # equal bytes are one image, wherever they are
    frames = [
        (name, content + str(number).encode()) for number, (name, content) in enumerate(frames)
    ]
    profile, source = make_lake(tmp_path, frames)
    journal = Journal(journal_folder(profile))
    found = timeline(Sitting(profile, source, journal, "ann"), "porch", date(2026, 7, 13))
    journal.close()
    assert found["brightness"] == greys and found["at"] == sorted(found["at"])
    assert np.argmax(found["change"]) == 9 and found["label"] == [None] * len(greys)
    assert found["left"] == ["2026-07-13"]
    assert found["unsure"] == [False] * len(greys)
