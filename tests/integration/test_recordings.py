"""Recordings into the object store, heard again by FFmpeg and by libopus; the store's double, by the vendors' own SDKs."""

import io
import json
import os
import subprocess
from pathlib import Path

import boto3
import numpy as np
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from storage3 import create_client
from storage3.utils import StorageException

from harness import recording, voice
from harness.process import Process

BUILD = Path(os.environ.get("PAT_BUILD_DIR", Path(__file__).resolve().parents[2] / "build/dev"))
KEY = {"aws_access_key_id": "AKIDOUBLE", "aws_secret_access_key": "the-secret-of-the-double", "region_name": "us-east-1"}
FOLDER = "11111111-1111-4111-8111-111111111111/01934d8e-5a00-7000-8000-0000000000aa"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storage")
    ports = folder / "ports"
    doubles = Process("doubles", [BUILD / "bin/patchbay-doubles"], folder / "log", {"PAT_PORT_FILE": str(ports)})
    doubles.start().wait_until(ports.exists, 10)
    yield f"http://127.0.0.1:{json.loads(ports.read_text())['storage']}"
    doubles.stop()
    assert doubles.child.returncode == 0, doubles.tail()


@pytest.fixture
def s3(url):
    return boto3.client("s3", endpoint_url=url, config=Config(retries={"max_attempts": 0}), **KEY)


@pytest.fixture
def supabase(url):
    return create_client(f"{url}/storage/v1/", {"apikey": "sb_secret_1", "Authorization": "Bearer sb_secret_1"},
                         is_async=False)


def share(samples: np.ndarray, hz: float, from_ms: int, to_ms: int) -> float:
    """Of a tone in what sounds there: 1 is nothing else, 0 is silence or something else."""
    x = samples[from_ms * voice.RATE // 1000:to_ms * voice.RATE // 1000].astype(float)
    wave = np.exp(-2j * np.pi * hz * np.arange(len(x)) / voice.RATE)
    power = (x ** 2).sum()
    return 2 * abs((x * wave).sum()) ** 2 / (len(x) * power) if power > len(x) * 100 else 0.0


@pytest.mark.parametrize("kind", ["s3", "supabase"])
def test_what_is_recorded_is_heard_in_its_place(url, s3, kind):
    for k in s3.list_objects_v2(Bucket="rec").get("Contents", []):
        s3.delete_object(Bucket="rec", Key=k["Key"])
    done = subprocess.run([BUILD / "test/record_it", kind], env=os.environ | {"PAT_TEST_STORE": url}, timeout=110,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(done.stdout)
    assert done.returncode == 0 and "[       OK ]" in done.stdout
    keys = [k["Key"] for k in s3.list_objects_v2(Bucket="rec", Prefix=FOLDER)["Contents"]]
    assert keys == [f"{FOLDER}/message-1.ogg", f"{FOLDER}/recording.ogg"], "joined, and no pieces are left"
    whole = s3.get_object(Bucket="rec", Key=keys[1])["Body"].read()
    clip = s3.get_object(Bucket="rec", Key=keys[0])["Body"].read()
    for codec in (None, "libopus"):
        caller, agent = recording.decode(whole, codec)
        for side, hz in ((caller, 400), (agent, 1000)):
            # A second each of: sound, pause, sound, nobody there, the second agent.
            heard = [share(side, hz, ms + 250, ms + 750) for ms in (0, 1000, 2000, 3000, 4000)]
            assert [h > 0.8 for h in heard] == [True, False, True, False, True], (codec, hz, heard)
            assert share(side, 1400 - hz, 250, 750) < 0.05  # the other side's voice is not in it
        caller, agent = recording.decode(clip, codec)
        assert share(caller, 400, 250, 750) > 0.8 and not voice.voiced(agent).any()


def test_s3s_own_sdk_works_against_the_double(s3, url):
    s3.create_bucket(Bucket="b")
    s3.put_object(Bucket="b", Key="x/y z/é+=.bin", Body=b"hello", ContentType="a/b")
    got = s3.get_object(Bucket="b", Key="x/y z/é+=.bin")
    assert got["Body"].read() == b"hello" and got["ContentType"] == "a/b"
    assert s3.head_object(Bucket="b", Key="x/y z/é+=.bin")["ContentLength"] == 5
    for i in range(5):
        s3.put_object(Bucket="b", Key=f"l/{i}", Body=b"1")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="b", Prefix="l/", PaginationConfig={"PageSize": 2})
    assert [k["Key"] for p in pages for k in p["Contents"]] == [f"l/{i}" for i in range(5)]
    s3.upload_fileobj(io.BytesIO(b"q" * (12 << 20)), "b", "big",
                      Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
    assert len(s3.get_object(Bucket="b", Key="big")["Body"].read()) == 12 << 20
    s3.delete_object(Bucket="b", Key="l/1")
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="b", Key="l/1")
    wrong = boto3.client("s3", endpoint_url=url, config=Config(retries={"max_attempts": 0}),
                         **KEY | {"aws_secret_access_key": "another"})
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.put_object(Bucket="b", Key="l/2", Body=b"")


def test_supabases_own_sdk_works_against_the_double(supabase):
    bucket = supabase.from_("files")
    bucket.upload("u/c/f.ogg", b"12\r\n345", {"content-type": "audio/ogg"})
    assert bucket.download("u/c/f.ogg") == b"12\r\n345"
    assert [f["name"] for f in bucket.list("u/c")] == ["f.ogg"] and bucket.list("u")[0]["id"] is None
    assert "token=" in bucket.create_signed_url("u/c/f.ogg", 60)["signedURL"]
    with pytest.raises(StorageException, match="already exists"):
        bucket.upload("u/c/f.ogg", b"1")
    bucket.remove(["u/c/f.ogg"])
    with pytest.raises(StorageException, match="not found"):
        bucket.download("u/c/f.ogg")
