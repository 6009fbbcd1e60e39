"""The addresses of `/sdapi/v1`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aiohttp import web

from modelhub.catalog.reading import CatalogReader
from modelhub.errors import CancelledError, ModelhubError, UsageError
from modelhub.jobs import Job
from modelhub.server.api import answers, models
from modelhub.server.api.body import Body, FieldError
from modelhub.server.api.images import as_file, pack, unpack
from modelhub.server.api.line import Line
from modelhub.server.api.options import USUAL, read_settings

if TYPE_CHECKING:
    from modelhub.server.api.kitchen import Kitchen

_ROOT = "/sdapi/v1"
_PICTURES = ("init_images", "mask", "init_latent", "firstpass_image")
_MOST_TIMES = 8.0


def add_api(app: web.Application) -> None:
    """Add the addresses."""
    api = Api()
    for path, read in api.reads().items():
        app.router.add_get(f"{_ROOT}/{path}", _answering(read))
    for path, write in api.writes().items():
        app.router.add_post(f"{_ROOT}/{path}", _answering(write))
    app.on_shutdown.append(api.close)


Handler = Callable[[web.Request], Awaitable[Any]]


def _answering(handle: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler whose result is JSON, and whose errors are sentences."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await handle(request))
        except ModelhubError as error:
            status, body = answers.error_answer(error)
            return web.json_response(body, status=status)

    return answer


class Api:
    """The options that clients set, and the line of what they ask for."""

    def __init__(self) -> None:
        self._options = dict(USUAL)
        self._line = Line()

    @cached_property
    def _kitchen(self) -> Kitchen:
        """Made when the first request needs it, in the thread of the line: it brings torch."""
        from modelhub.server.api.kitchen import Kitchen

        return Kitchen()

    async def close(self, app: web.Application) -> None:
        """Stop what is computed."""
        await asyncio.to_thread(self._line.close)

    def reads(self) -> dict[str, Handler]:
        """What GET answers, by the end of the address."""
        return {
            "sd-models": _catalogued(lambda catalog: [models.model_answer(one) for one in models.checkpoints(catalog)]),
            "sd-vae": _catalogued(
                lambda catalog: [
                    {"model_name": one.name, "filename": str(one.path)} for one in models.assets(catalog, "vae")
                ]
            ),
            "loras": _catalogued(lambda catalog: [models.lora_answer(one) for one in models.assets(catalog, "lora")]),
            "embeddings": _catalogued(models.embeddings_answer),
            "upscalers": _catalogued(models.upscalers_answer),
            "samplers": _fixed(models.samplers_answer()),
            "schedulers": _fixed(models.schedulers_answer()),
            "latent-upscale-modes": _fixed(models.latent_answer()),
            "scripts": _fixed({"txt2img": [], "img2img": []}),
            "cmd-flags": _fixed({}),
            **{name: _fixed([]) for name in ("script-info", "prompt-styles", "hypernetworks", "face-restorers")},
            "options": self._read_options,
            "progress": self._progress,
            "memory": _memory,
        }

    def writes(self) -> dict[str, Handler]:
        """What POST does, by the end of the address."""
        return {
            "txt2img": lambda request: self._pictures(request, from_picture=False),
            "img2img": lambda request: self._pictures(request, from_picture=True),
            "options": self._write_options,
            "png-info": _png_info,
            "extra-single-image": self._extra,
            "interrupt": self._interrupt,
            "skip": self._interrupt,
            "unload-checkpoint": self._forget,
            "reload-checkpoint": _fixed({}),
            **{f"refresh-{what}": _fixed(None) for what in ("checkpoints", "vae", "loras", "embeddings")},
        }

    async def _pictures(self, request: web.Request, *, from_picture: bool) -> dict[str, Any]:
        from modelhub.server.api.wishes import read_wish

        body = Body.of(await _body(request))
        fields, echo = body.echo(), body.echo(_PICTURES)
        wish = await asyncio.to_thread(read_wish, fields, dict(self._options), from_picture=from_picture)

        def work(job: Job) -> dict[str, Any]:
            return answers.pictures_answer(self._kitchen.render(wish, job), wish, echo)

        try:
            return await self._line.run(work)
        except CancelledError:
            return answers.interrupted_answer(echo)

    async def _read_options(self, request: web.Request) -> dict[str, Any]:
        if self._options["sd_model_checkpoint"]:
            return {**self._options, "samples_format": "png"}
        first = await _read(lambda catalog: next(map(models.title, models.checkpoints(catalog)), None))
        return {**self._options, "sd_model_checkpoint": first, "samples_format": "png"}

    async def _write_options(self, request: web.Request) -> None:
        """Options that do not count here are passed over: clients send back all that they know."""
        found = read_settings(Body.of(await _body(request)))
        word = found.get("sd_model_checkpoint")
        if word:
            asset = await _read(lambda catalog: models.find(catalog, word, "model", *models.MODELS))
            found["sd_model_checkpoint"] = models.title(asset)
        self._options |= found

    async def _progress(self, request: web.Request) -> dict[str, Any]:
        picture = None if request.query.get("skip_current_image", "").lower() == "true" else self._line.picture
        packed = None if picture is None else await asyncio.to_thread(pack, picture)
        return {**self._line.progress(), "current_image": packed}

    async def _extra(self, request: web.Request) -> dict[str, Any]:
        """Enlarge a picture."""
        from modelhub.preview.upscaling.whole import Goal

        body = Body.of(await _body(request))
        image = await asyncio.to_thread(unpack, _needed(body, "image"), "image")
        name = body.text("upscaler_1") or "None"
        if body.whole("resize_mode") == 1:
            size = (_side(body, "upscaling_resize_w"), _side(body, "upscaling_resize_h"))
            goal = Goal(size=size)
        else:
            goal = Goal(_times(body))
        made = await self._line.run(lambda job: self._kitchen.upscale(image, goal, name, job))
        text = made.texts.get("parameters")
        return {"html_info": "", "image": await asyncio.to_thread(pack, made.pixels, text)}

    async def _interrupt(self, request: web.Request) -> dict[str, Any]:
        self._line.interrupt()
        return {}

    async def _forget(self, request: web.Request) -> dict[str, Any]:
        await self._line.run(lambda job: self._kitchen.forget() if "_kitchen" in vars(self) else None)
        return {}


def _fixed(answer: Any) -> Handler:
    async def handle(request: web.Request) -> Any:
        return answer

    return handle


def _catalogued(read: Callable[[CatalogReader], Any]) -> Handler:
    async def handle(request: web.Request) -> Any:
        return await _read(read)

    return handle


async def _read(read: Callable[[CatalogReader], Any]) -> Any:
    """What the catalog says, asked in a thread."""

    def run() -> Any:
        with CatalogReader.open() as catalog:
            return read(catalog)

    return await asyncio.to_thread(run)


async def _body(request: web.Request) -> Any:
    """The JSON document of a request. Raises FieldError for anything else."""
    try:
        return await asyncio.to_thread(json.loads, await request.text())
    except web.HTTPRequestEntityTooLarge:
        raise UsageError("The request is too large.", "Send smaller pictures.") from None
    except (ValueError, RecursionError, LookupError):
        raise FieldError("body", "must be a JSON document in UTF-8") from None


def _needed(body: Body, field: str) -> str:
    found = body.text(field)
    if not found:
        raise FieldError(field, "must be a picture in base64")
    return found


def _side(body: Body, field: str) -> int:
    found = body.whole(field)
    if found is None or found < 1:
        raise FieldError(field, "must be a number of pixels")
    return found


def _times(body: Body) -> float:
    found = body.number("upscaling_resize")
    if found is not None and not 0 < found <= _MOST_TIMES:
        raise FieldError("upscaling_resize", f"must be above 0, and {_MOST_TIMES:g} at most")
    return 2.0 if found is None else found


async def _png_info(request: web.Request) -> dict[str, Any]:
    """What the texts in a picture say."""
    return await asyncio.to_thread(_infos, _needed(Body.of(await _body(request)), "image"))


def _infos(text: str) -> dict[str, Any]:
    from modelhub.formats.picture_texts import read_texts
    from modelhub.preview.pictures.reading.read import generation_of

    with as_file(text, "image") as path:
        texts = read_texts(path)
    found = generation_of(texts)
    told = {"Prompt": found.prompt, "Negative prompt": found.negative, **found.settings} if not found.is_empty else {}
    items = {key: value for key, value in texts.items() if key != "parameters"}
    return {"info": texts.get("parameters") or texts.get("UserComment") or "", "items": items, "parameters": told}


async def _memory(request: web.Request) -> dict[str, Any]:
    """Bytes of memory; of the GPU only when it is in use."""
    known = getattr(os, "sysconf_names", {})
    page = os.sysconf("SC_PAGE_SIZE") if "SC_PAGE_SIZE" in known else 0
    total, free = (page * os.sysconf(name) if name in known else 0 for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    torch = sys.modules.get("torch")
    cuda: dict[str, Any] = {"error": "unavailable"}
    if torch is not None and torch.cuda.is_available():
        left, whole = torch.cuda.mem_get_info()
        cuda = {"system": {"free": left, "used": whole - left, "total": whole}}
    return {"ram": {"free": free, "used": total - free, "total": total}, "cuda": cuda}
