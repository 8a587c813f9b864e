"""What is opened, what is refused, and what is said of an image that is not all there."""

import re

import numpy as np
import pytest
from odd_images import IMAGE, INCOMPLETE, INTACT, NOT_ASKED_FOR

from edge.inference.errors import UnreadableError
from edge.inference.image import as_rgb, open_image


def pixels_of(content: bytes) -> np.ndarray:
    with open_image(content) as image:
        image.load()
        return np.asarray(as_rgb(image)).astype(int)


@pytest.mark.parametrize("content", INTACT.values(), ids=INTACT)
def test_an_intact_image_is_decoded_and_of_several_it_is_the_first(content):
    pixels = pixels_of(content)
    assert pixels.shape == (IMAGE.height, IMAGE.width, 3)
    expected = np.asarray(IMAGE).astype(int)
    if np.ptp(pixels, axis=2).max() == 0:  # it is grey
        expected = expected @ [[0.299], [0.587], [0.114]]
        if len(np.unique(pixels)) == 2:  # and of 1 bit
            return
    assert np.abs(pixels - expected).mean() < 12


@pytest.mark.parametrize(("content", "detail"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_an_incomplete_image_is_refused_with_the_share_that_is_missing(content, detail):
    with pytest.raises(UnreadableError) as caught, open_image(content) as image:
        image.load()
    assert caught.value.reason == "truncated"
    share, _, of = detail.partition(" % ")
    said = re.fullmatch(
        r"about (\d+) % of the (rows|coefficients|bytes) are missing", str(caught.value.detail)
    )
    if of:
        assert said and f"of the {said[2]}".startswith(of)
    if share.strip():
        assert abs(int(said[1]) - int(share)) <= 5


@pytest.mark.parametrize("content", NOT_ASKED_FOR.values(), ids=NOT_ASKED_FOR)
def test_no_decoder_sees_a_format_that_is_not_listed(content):
    with pytest.raises(UnreadableError, match="not an image: its format is unknown"):
        pixels_of(content)
