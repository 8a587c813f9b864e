"""What the doctor finds: on a device that works, and for each fault that is caused."""

import base64
import errno
import json
import os
import threading
from pathlib import Path

import pytest
import urllib3
from agent_fakes import NOBODY
from receiver import receiver
from running_agent import CONFIG, running
from signing import OURS, public

from edge.cli.main import main
from edge.cli.running_status import STATED

SECRET = base64.b64encode(bytes(32)).decode()


def doctor(tmp_path, capsys, text: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit status, and the result and the text of each check."""
    config = tmp_path / "agent.toml"
    config.write_text(text)
    status = main(["doctor", "--config", str(config)])
    lines = capsys.readouterr().out.splitlines()
    return status, {line[5:17].strip(): (line[:3], line[18:]) for line in lines}


def settings(tmp_path, **changes: str) -> str:
    (tmp_path / "landing").mkdir(exist_ok=True)
    (tmp_path / "store").mkdir(exist_ok=True)
    tables = {
        "top": 'device = "a7"\ntrust_clock = true',
        "landing": f'url = "{tmp_path}/landing"',
        "camera": 'kind = "simulated"',
        "store": f'folder = "{tmp_path}/store"\nfree_megabytes = 0',
        "page": "port = 1",
    }
    tables |= changes
    return "".join(
        f"{text}\n" if name == "top" else f"[{name}]\n{text}\n" for name, text in tables.items()
    )


def test_of_a_device_that_works_all_is_well(tmp_path, capsys, registered, monkeypatch):
    registered.publish()
    model = f'server = "{registered.server}"\nname = "{registered.name}"'
    monkeypatch.setenv("ACTIONS_DOOR_SECRET", SECRET)
    with receiver() as server:
        door = f'kind = "webhook"\nurl = "http://127.0.0.1:{server.server_port}/x"'
        text = settings(tmp_path, model=model, **{"actions.door": door})
        status, found = doctor(tmp_path, capsys, text)
    assert status == 0 and {result for result, _ in found.values()} == {"ok "}
    assert list(found) == [
        *("camera", "server", "key", "landing zone", "clock", "disk", "action door")
    ]
    assert found["camera"][1] == "simulated gives 480 × 480 pixels"
    assert "champion: version 1, release 1" in found["server"][1]
    assert "none pinned yet: the first release pins its own in" in found["key"][1]
    # hidden, so that ingest does not read it
    assert [path.name for path in (tmp_path / "landing").iterdir()] == [".doctor-a7"]


@pytest.mark.parametrize(
    ("changes", "check", "advice"),
    [
        ({"camera": 'kind = "folder"\nsource = "/none"'}, "camera", "/none"),
        (
            {"model": f'server = "{NOBODY}"\nname = "m"'},
            "server",
            f"no MLflow server answers at {NOBODY}",
        ),
        ({"model": f'server = "{NOBODY}"\nname = "m"\nkeys = "/none"'}, "key", "/none"),
        ({"landing": 'url = "/none/at/all"'}, "landing zone", "create or mount it"),
        ({"landing": 'url = "nofs://x"'}, "landing zone", "install the fsspec package"),
        ({"landing": 'url = "http://me:secret@127.0.0.1:9/"'}, "landing zone", "check [landing]"),
        ({"landing": 'url = "ftp://me:secret/x@nowhere"'}, "landing zone", "to ftp://nowhere"),
        ({"store": 'folder = "/none"'}, "disk", "create it, or change its owner"),
        ({"store": 'folder = "/tmp"\nfree_megabytes = 900000'}, "disk", "store.free_megabytes"),
        ({"actions.x": 'kind = "webhook"\nurl = "http://hub"'}, "action x", "ACTIONS_X_SECRET"),
        ({"actions.x": 'kind = "mqtt"\nurl = "mqtt://127.0.0.1:9"'}, "action x", "be reached"),
    ],
    ids=str,
)
def test_of_each_fault_it_says_what_to_do(tmp_path, capsys, changes, check, advice):
    status, found = doctor(tmp_path, capsys, settings(tmp_path, **changes))
    assert status == 1
    result, text = found[check]
    assert result == "FIX" and advice in text
    assert "me:secret" not in text and "'secret'" not in text
    others = {name for name, (one, _) in found.items() if one == "FIX"} - {check, "server"}
    assert not others or check == "key"


def test_a_share_that_does_not_answer_is_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge.cli.doctor.PUT_SECONDS", 0.2)
    is_back = threading.Event()
    monkeypatch.setattr("edge.cli.doctor.Landing.put", lambda *_, **__: is_back.wait(30))
    status, found = doctor(tmp_path, capsys, settings(tmp_path))
    is_back.set()
    result, text = found["landing zone"]
    assert (status, result) == (1, "FIX") and "it hangs: " in text and "check [landing]" in text


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_takes_no_files_is_found_as_run_finds_it(tmp_path, capsys, monkeypatch, fault):
    def fail(path, content):
        raise OSError(fault, os.strerror(fault))

    text = settings(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", fail)
    monkeypatch.setattr("edge.cli.doctor.os.access", lambda *_: fault != errno.EROFS)
    _, found = doctor(tmp_path, capsys, text)
    assert found["disk"][0] == "FIX"
    assert f"{tmp_path}/store: {os.strerror(fault)}: make space" in found["disk"][1]


@pytest.mark.parametrize(("line", "result"), [("", "FIX"), ("unsigned = true", "ok ")])
def test_an_unsigned_release_is_refused_as_an_update_would(
    tmp_path, capsys, registered, line, result
):
    registered.publish(signed=False)
    model = f'server = "{registered.server}"\nname = "{registered.name}"\n{line}'
    _, found = doctor(tmp_path, capsys, settings(tmp_path, model=model))
    assert found["server"][0] == result
    assert ("is not signed" in found["server"][1]) == (result == "FIX")


def test_a_bad_signature_by_the_first_signer_is_refused_as_an_update_would(
    tmp_path, capsys, registered
):
    registered.publish(change=lambda stated: stated.update(signatures={public(OURS): "bad"}))
    model = f'server = "{registered.server}"\nname = "{registered.name}"'
    _, found = doctor(tmp_path, capsys, settings(tmp_path, model=model))
    assert found["server"][0] == "FIX" and "is not valid" in found["server"][1]


def test_a_page_of_another_device_is_found_and_this_camera_is_looked_at(
    tmp_path, capsys, monkeypatch
):
    body = json.dumps(dict.fromkeys(STATED) | {"device": "porch-1"}).encode()
    monkeypatch.setattr(urllib3, "request", lambda *_, **__: urllib3.HTTPResponse(body))
    status, found = doctor(tmp_path, capsys, settings(tmp_path))
    why = "http://127.0.0.1:1 answers for porch-1, not a7: give page.port another value"
    assert status == 1 and found["page"][0] == "FIX" and why in found["page"][1]
    assert found["camera"] == ("ok ", "simulated gives 480 × 480 pixels")


def test_an_unset_clock_is_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge.agent.clock._is_synchronised", lambda: False)
    monkeypatch.setattr("edge.agent.clock._rtc_agrees", lambda _: False)
    text = settings(tmp_path).replace("trust_clock = true", "")
    status, found = doctor(tmp_path, capsys, text)
    assert status == 1 and found["clock"][0] == "FIX" and "trust_clock = true" in found["clock"][1]


@pytest.mark.slow
def test_beside_a_running_agent_it_leaves_the_camera_alone(tmp_path, capsys):
    with running(tmp_path) as agent:
        port = agent.page.rpartition(":")[2]
        agent.wait_for(lambda: agent.status()["frames"] > 0)
        text = CONFIG.format(home=tmp_path).replace("port = 0", f"port = {port}")
        _, found = doctor(tmp_path, capsys, text)
    assert found["camera"][0] == "ok " and "the running agent has it" in found["camera"][1]
