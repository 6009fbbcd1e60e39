"""Hub: asks Hugging Face through its own library, as patiently as `Net` asks, and says its errors in our words.

The library lists and knows revisions; it brings no bytes, waits for nothing by itself, and logs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from modelhub import __version__
from modelhub.errors import ModelhubError, ProviderError, UsageError
from modelhub.fetch.huggingface.repo import Repo
from modelhub.fetch.net import Net, Refusal, endpoints, trouble
from modelhub.fetch.net.bodies import ERROR
from modelhub.fetch.net.redact import cleaned, redacted
from modelhub.fetch.net.tries import Tries
from modelhub.fetch.net.trouble import Trouble
from modelhub.jobs import Job
from modelhub.text import brief

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

T = TypeVar("T")


def repository(name: str, revision: str | None, token: str | None, net: Net, job: Job) -> Repo:
    """One revision (None: the main one) of a repository, with its files.

    Raises Refused for what the hub refuses; UsageError for a name that no repository has; UnreachableError;
    ProviderError for an answer of no use.
    """
    from modelhub.fetch.huggingface.reading import repo_of

    endpoint = endpoints.hugging_face()
    endpoints.refuse_offline(endpoint)
    api = _api(endpoint, token)

    def ask() -> Repo:
        info = api.model_info(name, revision=revision, files_metadata=True, timeout=net.patience.read)
        return repo_of(info, endpoint)

    return _asked(ask, name, token, net, job)


def _api(endpoint: str, token: str | None) -> HfApi:
    """The library's client; it never looks for a token of its own."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import logging

    from modelhub.fetch.huggingface.bounds import PLAIN, bound

    # it would ask another address, and write a file, to find out which program runs this one
    constants.HF_HUB_DISABLE_TELEMETRY = True
    logging.set_verbosity_error()
    bound()
    about = {"library_name": "modelhub", "library_version": __version__}
    return HfApi(endpoint=endpoint, token=token or False, headers=dict(PLAIN), **about)


def _asked(ask: Callable[[], T], name: str, token: str | None, net: Net, job: Job) -> T:
    """What `ask` gives, asked again where that may help. No error of the library leaves: they hold headers."""
    tries = Tries(net.patience, job)
    while True:
        job.check()
        found = _once(ask, name, token)
        if isinstance(found, Refusal):
            tries.refused(found)
        elif isinstance(found, Trouble):
            tries.again(found)
        elif isinstance(found, ModelhubError):
            raise found
        else:
            return found


def _once(ask: Callable[[], T], name: str, token: str | None) -> T | Refusal | Trouble | ModelhubError:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return ask()
    except HFValidationError:
        return UsageError(f"{brief(name)} is no name of a repository.", "It reads owner/name.")
    except HfHubHTTPError as error:
        return _refusal(error, token)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return _trouble(error)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        hint = "Is HF_ENDPOINT right, and no login page of a network in between? Try again later."
        return ProviderError(f"Hugging Face answered with something that says nothing of {brief(name)}.", hint)


def _refusal(error: HfHubHTTPError, token: str | None) -> Refusal:
    """What the library knows of an answer of 400 or more, in our form and without secrets."""
    from requests.structures import CaseInsensitiveDict

    answer = error.response
    secrets = [token] if token else []
    url = str(answer.url)
    shown = {name: cleaned(value, secrets) for name, value in answer.headers.items()}
    body = cleaned(_text(answer), secrets)
    signed = token is not None and endpoints.is_at("huggingface", url)
    return Refusal(redacted(url), answer.status_code, CaseInsensitiveDict(shown), body, endpoints.host_of(url), signed)


def _text(answer: Any) -> str:
    import httpx2

    try:
        return str(answer.content[:ERROR].decode("utf-8", "replace"))
    except (httpx2.StreamError, httpx2.HTTPError):
        return ""


def _trouble(error: Exception) -> Trouble:
    """Why there is no answer. The texts of the library's errors are not shown whole."""
    import httpx2

    host = endpoints.host_of(endpoints.hugging_face())
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        hint = "Is the clock right? Where a proxy or company reads along, SSL_CERT_FILE names its certificate."
        return Trouble(ProviderError(f"{host} shows a certificate that cannot be trusted.", hint), passing=False)
    if isinstance(error, httpx2.ProxyError):
        return trouble.proxy(host)
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return trouble.unreached(host)
    if isinstance(error, httpx2.TimeoutException):
        return trouble.slow(host)
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return Trouble(UsageError(f"{host} cannot be asked like this.", "Check HF_ENDPOINT."), passing=False)
    if isinstance(error, httpx2.DecodingError):
        message = f"{host} answered without end, or in a packed form that was not asked for."
        return Trouble(ProviderError(message, "Is HF_ENDPOINT right? Try again later."), passing=False)
    if isinstance(error, httpx2.TooManyRedirects):
        return Trouble(ProviderError(f"{host} sends every question on to somewhere else.", "Try again later."), False)
    return trouble.broken_off(host)
