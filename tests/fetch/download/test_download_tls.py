"""Over TLS, where bytes come in records: received from the socket itself, they are the same."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from download_bench import QUICK, some_bytes

from modelhub.fetch.download import fetched
from modelhub.fetch.net import Net
from modelhub.fetch.offer import RemoteFile

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")


class Quiet(SimpleHTTPRequestHandler):
    """The standard server, which knows nothing of ranges; it stops in the middle of the file once."""

    stops = 0

    def log_message(self, *words: object) -> None:
        """Nobody reads it."""

    def copyfile(self, source, outputfile) -> None:
        if type(self).stops:
            type(self).stops -= 1
            outputfile.write(source.read(1_000_001))
            self.connection.close()
        else:
            super().copyfile(source, outputfile)


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A TLS server that shows `served`, and whose certificate is trusted."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words.split(), *more], check=True, capture_output=True)
    (tmp_path / "served").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *words: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("NO_PROXY", "localhost")
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("count", "stops"), [(5, 0), (5000, 0), (20_000, 0), (5_000_000, 0), (5_000_000, 1)])
def test_a_file_over_tls(secure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, stops: int):
    data = some_bytes(count)
    (tmp_path / "served" / "model.bin").write_bytes(data)
    monkeypatch.setattr(Quiet, "stops", stops)
    with (
        Net(lambda provider: None, patience=QUICK) as net,
        fetched(RemoteFile("model.bin", f"{secure}/model.bin"), tmp_path / "got.bin", "web", net) as found,
    ):
        assert found.part.read_bytes() == data
