from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from eventcore.errors import InvalidParameter
from eventcore.server.cli import main
from eventcore.server.daemon import ServeConfig
from eventcore.server.tls import tls_context

FILES = Path(__file__).parents[2] / "wire" / "tls"
CERTIFICATE, KEY = str(FILES / "localhost.pem"), str(FILES / "localhost.key")


def test_a_certificate_and_its_key_are_taken():
    context = tls_context(CERTIFICATE, KEY)
    assert context.cert_store_stats()["x509"] == 0  # nobody is asked for a certificate
    assert ServeConfig(tls_certificate=CERTIFICATE, tls_key=KEY).tls() is not None
    assert ServeConfig().tls() is None


@pytest.mark.parametrize(
    ("certificate", "key", "option", "reason"),
    [
        ("gone.pem", "localhost.key", "tls_certificate", "cannot read .*gone.pem: No such file"),
        ("localhost.pem", "gone.key", "tls_key", "cannot read .*gone.key: No such file"),
        ("", "localhost.key", "tls_certificate", "cannot read .*: Is a directory"),
        ("localhost.key", "localhost.key", "tls_certificate", "it has no certificate in PEM form"),
        ("localhost.pem", "other.key", "tls_key", "the key is not the certificate's"),
        ("localhost.pem", "localhost.pem", "tls_key", "it has no key in PEM form"),
        ("localhost.pem", "encrypted.key", "tls_key", "the key is encrypted"),
    ],
)
def test_files_that_do_not_fit_are_named(certificate, key, option, reason):
    with pytest.raises(InvalidParameter, match=reason) as raised:
        tls_context(str(FILES / certificate), str(FILES / key))
    assert raised.value.name == option


def test_a_file_that_is_no_pem_is_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("notes")
    with pytest.raises(InvalidParameter, match="it has no certificate in PEM form"):
        tls_context(str(text), KEY)
    with pytest.raises(InvalidParameter, match="it has no key in PEM form"):
        tls_context(CERTIFICATE, str(text))


@pytest.mark.parametrize(("given", "missing"), [("certificate", "key"), ("key", "certificate")])
def test_the_daemon_wants_both_files_or_none(given, missing):
    config = msgspec.structs.replace(ServeConfig(), **{f"tls_{given}": CERTIFICATE})
    with pytest.raises(InvalidParameter, match=f"tls_{missing}: .* given together"):
        config.check()


def test_serve_refuses_wrong_files_with_exit_2_and_makes_nothing(tmp_path, capsys):
    data = tmp_path / "data"
    options = ["--tls-certificate", CERTIFICATE, "--tls-key", str(FILES / "other.key")]
    assert main(["serve", "--port", "0", "--data", str(data), *options]) == 2
    assert "the key is not the certificate's" in capsys.readouterr().err
    assert not data.exists()
