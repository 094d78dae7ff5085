"""A server that speaks S3, in a process of its own, for tests of payloads and pick-up locations there."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.request import urlopen

import boto3

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
BUCKET = "usage"


@contextmanager
def object_store():
    """The address of a server with one empty bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    serve = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(serve, stderr=subprocess.DEVNULL, env=os.environ | KEYS)
    try:
        wait_for(port)
        client(address).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": KEYS["AWS_DEFAULT_REGION"]}
        )
        yield address
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port):
    give_up_at = time.monotonic() + 30
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}", timeout=1).close()
        except OSError:
            assert time.monotonic() < give_up_at, "the object store does not answer"
            time.sleep(0.1)
        else:
            return


def client(address):
    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_DEFAULT_REGION"],
    )


def keys_in(address):
    """The names of all objects of the bucket."""
    pages = client(address).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))
