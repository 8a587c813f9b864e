"""The client of a scoring server, and what its user sees where there is none. That a real server
answers it as the device scores is tested with all ways of scoring."""

import base64
import http.server
import json
import os
import socket
import threading
from pathlib import Path

import pytest

from edge.cli.main import main

IMAGE = b"image"
WHY = "damaged: OSError: broken data stream"


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every image of a request with its place, or as the test says.

    What is no image it refuses in the words of ``steps/release/pyfunc_model.py``.
    """

    status, answer, asked, devices = 200, None, [], []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rows = body["dataframe_split"]["data"]
        self.asked.append(len(rows))
        self.devices.append({device for _, device in rows})
        scored = [{"label": "1", "score": place / 100} for place in range(len(rows))]
        content = self.answer or json.dumps({"predictions": scored})
        for place, (image, _) in enumerate(rows):
            if base64.b64decode(image) != IMAGE:
                said = f"Failed to predict data 'x'.\nError: image {place} is refused: {WHY}"
                self.status, content = 400, json.dumps({"message": said})
                break
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Answering.status, Answering.answer, Answering.asked, Answering.devices = 200, None, [], []
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


@pytest.fixture
def files(tmp_path) -> list[str]:
    for number in range(20):
        (tmp_path / f"{number:02}.jpg").write_bytes(IMAGE)
    return [str(path) for path in sorted(tmp_path.iterdir())]


def test_many_files_go_in_several_requests_and_keep_their_order(server, files, capsys):
    assert main(["predict", "--server", server, "--device", "7", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f"{number:02}.jpg" for number in range(20)]
    assert lines[3].split() == ["03.jpg", "1", "0.0300"]
    assert (Answering.asked, Answering.devices) == ([16, 4], [{"7"}, {"7"}])


OTHERS = (
    *([[0.1, 0.9]], [0.3], [], None, {"label": "1", "score": 1.0}, [{"label": "1"}]),
    *([{"score": 1.0}], [{"label": "1", "score": "high"}], [{"label": "1", "score": 1.0}] * 2),
)
"""What other models' servers answer."""


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (400, {"message": "Failed to predict data 'x'.\nError: no rows"}, "no rows (00"),
        (500, "oops", "does not answer as a scoring server"),
        (200, {"scores": []}, "does not answer as a scoring server"),
        (404, {"detail": "Not Found"}, "does not answer as a scoring server"),
        *((200, {"predictions": rows}, "does not answer as a scoring server") for rows in OTHERS),
    ],
)
def test_a_refusal_is_one_line_with_the_reason(server, files, capsys, status, answer, says):
    Answering.status, Answering.answer = status, json.dumps(answer)
    assert main(["predict", "--server", server, files[0]]) == 1
    said = capsys.readouterr().err
    assert said.startswith("edge predict: ") and says in said and said.count("\n") == 1


def test_no_server_names_the_command_that_starts_one(files, capsys):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert main(["predict", "--server", address, files[0]]) == 1
    said = capsys.readouterr().err
    assert "mlflow models serve" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "address", ["", "localhost:5001", "http://[::1", "http://mlflow..local", "ftp://mlflow"]
)
def test_no_address_is_one_line(files, capsys, address):
    assert main(["predict", "--server", address, files[0]]) == 1
    said = capsys.readouterr().err
    assert "check the address" in said and said.count("\n") == 1


@pytest.mark.parametrize("numbers", [[0], [1], [15], [19], [0, 1, 17], range(16), range(20)])
def test_refused_images_are_named_and_the_others_are_answered(server, files, capsys, numbers):
    for number in numbers:
        Path(files[number]).write_bytes(b"a shopping list")
    assert main(["predict", "--server", server, *files]) == 1
    said = capsys.readouterr()
    named = "; ".join(f"{files[number]} is refused: {WHY}" for number in numbers)
    assert said.err == f"edge predict: {named}\n"
    answered = [line.split()[0] for line in said.out.splitlines()]
    assert answered == [f"{number:02}.jpg" for number in range(20) if number not in numbers]


@pytest.mark.parametrize(
    ("name", "why"), [("none.jpg", "No such file or directory"), ("", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(server, tmp_path, capsys, name, why):
    assert main(["predict", "--server", server, str(tmp_path / name)]) == 1
    said = capsys.readouterr()
    assert said.err == f"edge predict: cannot read {tmp_path / name}: {why}; name an image\n"
    (tmp_path / "good.jpg").write_bytes(IMAGE)
    given = [str(tmp_path / name), str(tmp_path / "good.jpg")]
    assert main(["predict", "--server", server, *given]) == 1
    assert capsys.readouterr().out.split()[0] == "good.jpg"


def test_a_file_without_end_or_too_large_is_not_read(server, files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge.cli.predict.MAX_BYTES", len(IMAGE))
    pipe, large = tmp_path / "pipe", tmp_path / "large.jpg"
    os.mkfifo(pipe)
    large.write_bytes(IMAGE + b"?")
    assert main(["predict", "--server", server, "/dev/zero", str(pipe), str(large), files[0]]) == 1
    said = capsys.readouterr()
    assert said.err == (
        "edge predict: cannot read /dev/zero: it is not a regular file; name an image; "
        f"cannot read {pipe}: it is not a regular file; name an image; "
        f"cannot read {large}: it has more than {len(IMAGE)} bytes; name an image\n"
    )
    assert said.out.split()[0] == "00.jpg"
