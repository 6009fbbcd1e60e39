"""Trouble: what it means when a server says nothing, in words and with the next step; the library's own are not shown.

Their texts, and the requests they carry, hold addresses and headers, and so may hold secrets.
"""

from __future__ import annotations

from typing import NamedTuple

from modelhub.errors import ModelhubError, ProviderError, UnreachableError, UsageError
from modelhub.fetch.net.endpoints import host_of
from modelhub.fetch.net.redact import redacted
from modelhub.text import brief

_ONLINE = "Is this machine online? Try again later."


class Trouble(NamedTuple):
    """Why there is no answer. `passing`: asking again may help; `knocking`: the server could not be reached at all."""

    error: ModelhubError
    passing: bool = True
    knocking: bool = False


def failures() -> tuple[type[Exception], ...]:
    """What asking and reading an answer raise; `trouble_of` explains them."""
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    return (RequestException, HTTPError, OSError, ValueError)


def trouble_of(error: Exception, url: str) -> Trouble:
    """What `error`, one of `failures()`, means when `url` was asked."""
    from requests import exceptions as known
    from urllib3.exceptions import LocationValueError

    host = host_of(url) or redacted(url)
    reason = _reason(error)
    name = type(reason).__name__
    if isinstance(error, known.ProxyError) or name == "ProxyError":
        return _proxy(host, reason)
    if isinstance(error, known.SSLError) or name == "SSLError":
        return _tls(host, reason)
    setting = _setting(error, host)
    if setting is not None:
        return Trouble(setting, passing=False)
    if isinstance(
        error, known.InvalidURL | known.InvalidSchema | known.MissingSchema | LocationValueError | UnicodeError
    ):
        return Trouble(UsageError(f"{redacted(url)} is no web address.", "Check it."), passing=False)
    return _connection(host, name, reason)


def _setting(error: Exception, host: str) -> UsageError | None:
    """What is wrong with the settings of this machine, if it is that."""
    from requests import exceptions as known

    if isinstance(error, known.InvalidSchema) and "SOCKS" in str(error):
        return UsageError("SOCKS proxies need another library.", "Run `pip install pysocks`.")
    if isinstance(error, known.InvalidProxyURL):
        return UsageError("The address of the proxy cannot be read.", _PROXY_HINT.format(host))
    if isinstance(error, known.InvalidHeader):
        hint = "Check the tokens in the environment."
        return UsageError(f"A header for {host} holds characters that no header may have.", hint)
    if "CA certificate bundle" in str(error):
        return UsageError("There is no file of certificates where one is named.", "Check REQUESTS_CA_BUNDLE.")
    return None


#: What says enough, whatever is inside.
_TELLING = ("ProxyError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "SSLError")


def _reason(error: BaseException) -> BaseException:
    """The innermost thing that went wrong, or the first that says enough: libraries wrap each other's errors."""
    for _ in range(8):
        inside = (getattr(error, "reason", None), *error.args, error.__cause__)
        inner = next((one for one in inside if isinstance(one, BaseException)), None)
        if inner is None or (type(error).__name__ in _TELLING and not _is_vague(error, inner)):
            break
        error = inner
    return error


def _is_vague(error: BaseException, inner: BaseException) -> bool:
    """The library's own `ProxyError` and `SSLError` hold those of the library below."""
    return type(inner).__name__ in _TELLING or "MaxRetryError" in type(inner).__name__


_PROXY_HINT = "Check the variables HTTPS_PROXY and HTTP_PROXY, or have NO_PROXY name {}."


def _proxy(host: str, reason: BaseException) -> Trouble:
    if "407" not in str(reason):
        return proxy(host)
    message = f"The proxy on the way to {host} wants a user and a password."
    return Trouble(UnreachableError(message, _PROXY_HINT.format(host)), passing=False, knocking=True)


def proxy(host: str) -> Trouble:
    """A proxy that does not answer."""
    message = f"The proxy on the way to {host} does not answer, or does not let us through."
    return Trouble(UnreachableError(message, _PROXY_HINT.format(host)), knocking=True)


def unreached(host: str) -> Trouble:
    """A host to which there is no way."""
    return Trouble(UnreachableError(f"{host} cannot be reached.", _ONLINE), knocking=True)


def slow(host: str) -> Trouble:
    """A host that lets wait."""
    return Trouble(UnreachableError(f"{host} took too long to answer.", "Try again later."))


def broken_off(host: str) -> Trouble:
    """A host that said a part of its answer."""
    return Trouble(UnreachableError(f"{host} broke off in the middle of its answer.", "Try again later."))


#: What OpenSSL says to an answer in plain text.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


def _tls(host: str, reason: BaseException) -> Trouble:
    text = str(reason)
    if any(word in text for word in _NOT_TLS):
        error = UnreachableError(f"{host} does not speak https there.", "Is it http://, or another port?")
        return Trouble(error, passing=False)
    if "CERTIFICATE_VERIFY_FAILED" not in text and "doesn't match" not in text:
        message = f"The secure connection to {host} failed."
        return Trouble(UnreachableError(message, _ONLINE), knocking=True)
    why = text.partition("verify failed:")[2].partition("(_ssl")[0].strip() or "it is not to be trusted"
    message = f"{host} shows a certificate that cannot be trusted: {brief(why)}."
    hint = "Is the clock right? Where a proxy or company reads along, REQUESTS_CA_BUNDLE names its certificate."
    return Trouble(ProviderError(message, hint), passing=False)


def _connection(host: str, name: str, reason: BaseException) -> Trouble:
    if name in ("NameResolutionError", "gaierror"):
        message = f"The name {host} is known to nobody who was asked."
        return Trouble(UnreachableError(message, "Is this machine online, and the address right?"), knocking=True)
    if isinstance(reason, ConnectionRefusedError):
        message = f"{host} lets nobody in: no server listens there."
        return Trouble(
            UnreachableError(message, "Is the address right, and its server up? Try again later."), knocking=True
        )
    if name in ("ConnectTimeoutError", "ConnectTimeout"):
        return Trouble(UnreachableError(f"{host} could not be reached in time.", _ONLINE), knocking=True)
    if isinstance(reason, TimeoutError) or name in ("ReadTimeoutError", "ReadTimeout"):
        return slow(host)
    if name in ("NewConnectionError",) or (isinstance(reason, OSError) and not isinstance(reason, ConnectionError)):
        return unreached(host)
    return broken_off(host)
