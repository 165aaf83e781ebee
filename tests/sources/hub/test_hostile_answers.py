"""What a Hub that means harm can answer: names that are paths, answers without end, answers that are none."""

from __future__ import annotations

import gzip
import json
import os
import time

import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Remote
from spectra_cli.sources.hub.cache import cached_path
from spectra_cli.sources.hub.client import Client
from spectra_cli.sources.hub.forms import check_file, check_reference
from spectra_cli.sources.hub.listing import resolve_files
from spectra_cli.sources.hub.retry import RetryPolicy
from tests.hub.loopback import Fault

pytestmark = pytest.mark.usefixtures("tiny")
UP = "../" * 40 + "etc/passwd"


@pytest.fixture
def client(hub, monkeypatch):
    """A client of the loopback Hub that retries for a second."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setenv("NO_PROXY", "*")
    return Client(RetryPolicy(seconds=1.0))


def refused(call, *arguments, **options):
    """Return the message of what is refused, within ten seconds."""
    begun = time.monotonic()
    with pytest.raises(SpectraError) as caught:
        call(*arguments, **options)
    assert time.monotonic() - begun < 10
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    "facts",
    [
        {"oid": UP}, {"oid": ".."}, {"oid": ""}, {"oid": "A" * 40}, {"oid": "a" * 39}, {"oid": "a" * 5000},
        {"oid": "a" * 39 + "\0"}, {"oid": 7}, {"oid": "a" * 40 + "\n"},
        {"lfs": {"oid": UP, "size": 1, "pointerSize": 1}},
        {"lfs": {"oid": None, "size": 1, "pointerSize": 1}}, {"path": UP}, {"path": "/etc/passwd"}, {"path": "a//b"},
        {"path": "."}, {"path": ""}, {"path": "a\0b"}, {"path": "a" * 256}, {"path": "a/" * 3000 + "b"},
        {"path": "a\ud800"}, {"path": 3}, {"size": -1}, {"size": "12"}, {"size": 1.5}, {"size": None}, {"size": 2**70},
        {"size": True},
    ],
    ids=repr,
)  # fmt: skip
def test_a_listing_that_names_a_file_otherwise_than_by_its_form_is_refused(client, hub, tiny, facts):
    hub.rewrite = lambda entry: {**entry, "lfs": None, **facts}
    message = refused(client.files, "own/small", tiny.branches["step1"])
    assert "\0" not in message
    assert len(message) < 400


@pytest.mark.parametrize("other", ["config.json", "config.json/x"])
def test_a_listing_of_files_that_cannot_lie_side_by_side_is_refused(client, hub, tiny, other):
    hub.rewrite = lambda entry: entry if entry["path"] == "config.json" else {**entry, "path": other}
    assert "config.json" in refused(client.files, "own/small", tiny.branches["step1"])


def test_a_listing_of_sound_entries_is_taken(client, tiny):
    files = client.files("own/small", tiny.branches["step1"])
    assert {"config.json", "model.safetensors"} <= {file.name for file in files}


@pytest.mark.parametrize("commit", ["../../x", "main", "a" * 39, "a" * 41, "A" * 40, None, 7, "a" * 40 + "\n"])
def test_a_commit_that_is_none_is_refused(client, tiny, commit):
    tiny.branches["step1"] = commit
    assert "commit" in refused(client.references, "own/small")


@pytest.mark.parametrize("name", ["", None, 7, "\ud800", "x" * 5000])
def test_a_reference_without_a_name_is_refused(name):
    assert "reference" in refused(check_reference, "hf:a/b", name, "a" * 40)


def test_a_blob_may_be_a_sha1_or_a_sha256():
    assert [check_file("hf:a/b", "x", 0, "0a" * half).blob for half in (20, 32)] == ["0a" * 20, "0a" * 32]


@pytest.mark.parametrize("change", ["other bytes", "a link out"])
def test_a_file_of_the_cache_is_believed_only_after_its_hash(client, tiny, tmp_path, monkeypatch, change):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = tiny.branches["step1"]
    file = next(file for file in client.files("own/small", commit) if file.name == "model.safetensors")
    sound = tiny.commits[commit]["model.safetensors"].read_bytes()
    blob = tmp_path / "models--own--small" / "blobs" / file.blob
    blob.parent.mkdir(parents=True)
    blob.write_bytes(sound)
    remote = Remote("own/small", commit)
    assert cached_path(remote, file) == blob
    private = tmp_path / "private.safetensors"
    private.write_bytes(bytes(len(sound)))
    blob.unlink()
    if change == "a link out":
        blob.symlink_to(private)
    else:
        os.rename(private, blob)
    assert cached_path(remote, file) is None


def test_a_small_file_of_the_cache_is_known_by_the_hash_of_git(client, tiny, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = tiny.branches["step1"]
    file = next(file for file in client.files("own/small", commit) if file.name == "config.json")
    blob = tmp_path / "models--own--small" / "blobs" / file.blob
    blob.parent.mkdir(parents=True)
    blob.write_bytes(tiny.commits[commit]["config.json"].read_bytes())
    assert cached_path(Remote("own/small", commit), file) == blob


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"endless": 0.0},
        {"endless": 0.05, "body": b" "},
        {
            "body": gzip.compress(b'{"branches": [' + b" " * 200_000_000, mtime=0),
            "headers": {"Content-Encoding": "gzip"},
        },
        {"endless": 0.0, "status": 302, "headers": {"Location": "/api/models/own/small/refs"}},
        {"body": b"<!doctype html><html>Log in to the hotel</html>"},
        {"body": b""},
        {"body": b"null"},
        {"body": b"{}"},
        {"body": b"[" * 100_000},
        {"body": b"not gzip", "headers": {"Content-Encoding": "gzip"}},
        {"body": b'{"branches":[{"name":"\xff"}]}'},
        {"body": b"x", "status": 302, "headers": {"Location": "file:///etc/passwd"}},
        {"body": b"x", "status": 302},
        {"body": b"x", "status": 418},
    ],
    ids=lambda fault: repr(fault)[:60],
)
def test_an_answer_that_never_ends_or_is_none_is_refused(client, hub, fault):
    hub.faults = [Fault("/refs", times=100, **fault)]
    refused(client.references, "own/small")


def test_a_redirect_whose_body_does_not_end_is_left(client, hub):
    hub.faults = [Fault("1/api/models/own/small/refs", times=3, endless=0.0, status=302, headers={"Location": "/x"})]
    refused(client.references, "own/small")
    assert sum(request.sent for request in hub.asked) < 100_000_000


@pytest.mark.slow
@pytest.mark.parametrize("entries", [0, 1000])
def test_pages_without_end_are_refused(client, hub, tiny, entries):
    facts = [{"type": "file", "oid": "a" * 40, "size": 3, "path": f"f{i}"} for i in range(entries)]
    again = f"{hub.endpoint}/api/models/own/small/tree/x?cursor=1"
    headers = {"Link": f'<{again}>; rel="next"'}
    hub.faults = [Fault("/tree/", times=10**9, body=json.dumps(facts).encode(), headers=headers)]
    assert "does not end" in refused(client.files, "own/small", tiny.branches["step1"])


@pytest.mark.slow
def test_a_folder_of_many_files_is_sorted_out_in_the_time_of_its_length(client, hub, tiny):
    """60,000 files took 9 s of the processor, each being put into a new tuple of all."""
    facts = [{"type": "file", "oid": "a" * 40, "size": 3, "path": f"f{i}.txt"} for i in range(60_000)]
    hub.faults = [Fault("/tree/", times=10, body=json.dumps(facts).encode())]
    checkpoint = Checkpoint("small", "step1", Remote("own/small", tiny.branches["step1"]))
    begun = time.process_time()
    assert refused(resolve_files, [checkpoint], client, lambda _: []) == "own/small holds no weights that can be read"
    assert time.process_time() - begun < 5


def test_more_bytes_than_were_asked_for_are_not_read(client, hub, tiny):
    commit = tiny.branches["step1"]
    file = next(file for file in client.files("own/small", commit) if file.name == "model.safetensors")
    hub.faults = [Fault("^2", times=100, endless=0.0)]
    got = bytearray()
    client.fetch(Remote("own/small", commit), file, (10, 110), got.extend)
    assert len(got) == 100


@pytest.mark.parametrize("token", ["hf_\u00e9", "hf_\u65e5\u672c", "hf_a b", "hf_a\x01b"])
def test_a_token_that_no_header_can_hold_is_named_and_not_shown(client, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    message = refused(client.references, "own/small")
    assert "token" in message
    assert token not in message
