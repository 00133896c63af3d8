"""Object stores of this machine. S3 is moto. Google's is moto too: its XML interface is that of S3 but for the headers translated here.
Azure's is Azurite, whose program `azurite-blob` comes from npm."""

import json
import shutil
import socket
import subprocess
import tempfile
import time

import pytest


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class S3:
    scheme = "s3"

    def __init__(self, bucket):
        boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
        self.bucket = bucket
        self.server = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=self.address, **keys)
        self.client.create_bucket(Bucket=bucket)
        # All servers of moto in a process have the same objects.
        for key in self.keys(""):
            self.client.delete_object(Bucket=bucket, Key=key)

    def told(self, address):
        """The variables with which the command finds the store behind an address."""
        return {"AWS_ENDPOINT": address, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}

    def put(self, key, content, **more):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **more)

    def get(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def stop(self):
        self.server.stop()


class Google(S3):
    scheme = "gs"

    def __init__(self, bucket):
        super().__init__(bucket)
        from threading import Thread

        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        moto = DomainDispatcherApplication(create_backend_app)

        def translated(asked, answer):
            asked["HTTP_AUTHORIZATION"] = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=c"
            if asked.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":
                asked["HTTP_IF_NONE_MATCH"] = "*"
            return moto(asked, lambda status, headers, *more: answer(status, [*headers, ("x-goog-generation", "1")], *more))

        self.xml = make_server("127.0.0.1", 0, translated, threaded=True)
        self.address = f"http://127.0.0.1:{self.xml.server_port}"
        Thread(target=self.xml.serve_forever, daemon=True).start()

    def told(self, address):
        key = {"private_key": "-", "private_key_id": "-", "client_email": "-", "disable_oauth": True}
        return {"GOOGLE_BASE_URL": address, "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key)}

    def stop(self):
        self.xml.shutdown()
        super().stop()


class Azure:
    scheme = "az"

    def __init__(self, bucket):
        blob = pytest.importorskip("azure.storage.blob")
        program = shutil.which("azurite-blob")
        if program is None:
            pytest.skip("there is no azurite-blob here: npm install azurite, and its folder node_modules/.bin in PATH")
        self.folder, port = tempfile.mkdtemp(prefix="lacon-az-"), free_port()
        words = [program, "--blobPort", str(port), "--location", self.folder, "--silent", "--skipApiVersionCheck"]
        self.server = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=self.folder)
        self.address = f"http://127.0.0.1:{port}"
        key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        account = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint={self.address}/devstoreaccount1;"
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert self.server.poll() is None and time.monotonic() < until, "Azurite does not start"
                time.sleep(0.1)
        self.client = blob.BlobServiceClient.from_connection_string(account).create_container(bucket)

    def told(self, address):
        return {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": address}

    def put(self, key, content):
        self.client.upload_blob(key, content, overwrite=True)

    def get(self, key):
        return self.client.download_blob(key).readall()

    def keys(self, prefix):
        return [one.name for one in self.client.list_blobs(name_starts_with=prefix)]

    def stop(self):
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


STORES = {kind.scheme: kind for kind in (S3, Google, Azure)}
