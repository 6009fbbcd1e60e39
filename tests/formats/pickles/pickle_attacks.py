"""Pickles and files that run code where they are loaded the usual way: each makes the folder or file of a given name.

They do nothing else. The tests prove that each of them is live, and `scripts/bench safety` shows them to other scanners.
"""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable

STOP = b"."
MAGIC = 0x1950A86A20F9469CFC6C
Payload = Callable[[str], bytes]


def text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text.encode())]) + text.encode()


def call(module: str, name: str, *args: bytes) -> bytes:
    return f"c{module}\n{name}\n(".encode() + b"".join(args) + b"tR"


def stack_global(module: bytes, name: bytes) -> bytes:
    return module + name + b"\x93"


def raw(data: bytes) -> bytes:
    """Bytes, whatever their length."""
    return b"B" + struct.pack("<I", len(data)) + data


def zip_with(pickled: bytes, method: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    """A torch archive; `more` are further files of it, with "_" for a dot and "__" for a slash."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr("m/data.pkl", pickled)
        for name, data in more.items():
            file.writestr(f"m/{name.replace('__', '/').replace('_', '.')}", data)
    return out.getvalue()


def legacy(*parts: bytes) -> bytes:
    """The five pickles of a legacy file, the first ones replaced."""
    usual = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True}, {}, [])]
    return b"".join([*parts, *usual[len(parts) :]])


def legacy_with(pickled: bytes) -> bytes:
    """A legacy file up to and with its object."""
    return b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {})) + pickled


def nested_with(pickled: bytes) -> bytes:
    """A pickle in which a legacy file stands as bytes."""
    return (
        call(
            "torch.storage", "_load_from_bytes", raw(legacy(*[pickle.dumps(v, 2) for v in (MAGIC, 1001, {})], pickled))
        )
        + STOP
    )


def tar_with(**parts: bytes) -> bytes:
    """A file of torch 0.1.9, with some of its parts replaced."""
    usual = {"sys_info": {}, "storages": 0, "tensors": 0, "pickle": {}}
    empty = {name: pickle.dumps(value, 2) for name, value in usual.items()}
    empty["storages"] += pickle.dumps([], 2)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as tar:
        for name, data in (empty | parts).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


#: The files that a pickle can stand in. torch's loader of TorchScript has an unpickler of its own, which calls nothing.
CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "zip": lambda pickled: zip_with(pickled, version=b"3"),
    "torchscript": lambda pickled: zip_with(pickled, constants_pkl=b"\x80\x02).", code_x=b"import os"),
    "legacy": lambda pickled: legacy(*[pickle.dumps(value, 2) for value in (MAGIC, 1001, {})], pickled),
    "nested": nested_with,
    "repacked": lambda pickled: zip_with(pickled, zipfile.ZIP_DEFLATED, version=b"3"),
    "tar": lambda pickled: tar_with(pickle=pickled),
}

#: Pickles that create a folder or file of the given name as Python loads them.
LIVE: dict[str, Payload] = {
    "GLOBAL and REDUCE": lambda m: call("os", "mkdir", text(m)),
    "the C module behind it": lambda m: call("posix", "mkdir", text(m)),
    "a built-in": lambda m: call("builtins", "open", text(m), text("w")),
    "a built-in by its old name": lambda m: b"\x80\x02" + call("__builtin__", "open", text(m), text("w")),
    "open of io": lambda m: call("io", "open", text(m), text("w")),
    "open of codecs": lambda m: call("codecs", "open", text(m), text("w")),
    "eval": lambda m: call("builtins", "eval", text(f"__import__('os').mkdir({m!r})")),
    "timeit": lambda m: call("timeit", "timeit", text("pass"), text(f"import os; os.mkdir({m!r})")),
    "a profiler": lambda m: call("cProfile", "run", text(f"open({m!r}, 'w')"), text(m)),
    "an archive": lambda m: call("zipfile", "ZipFile", text(m), text("w")),
    "a database": lambda m: call("sqlite3", "connect", text(m)),
    "a log": lambda m: call("logging", "FileHandler", text(m)),
    "numpy's writer": lambda m: call("numpy", "memmap", text(m), text("u1"), text("w+"), b"K\0", b"K\4"),
    "a name that is looked up": lambda m: call("pkgutil", "resolve_name", text("os:mkdir")) + b"(" + text(m) + b"tR",
    "getattr": lambda m: call("builtins", "getattr", call("importlib", "import_module", text("os")), text("mkdir"))
    + b"(" + text(m) + b"tR",
    "partial": lambda m: call("functools", "partial", b"cos\nmkdir\n", text(m)) + b")R",
    "operator": lambda m: call("operator", "methodcaller", text("mkdir"), text(m)) + b"(" + call("importlib", "import_module", text("os")) + b"tR",
    "a dotted name": lambda m: b"\x80\x04" + stack_global(short("collections"), short("_sys.modules.get")) + b"(" + text("os") + b"tR0" + call("os", "mkdir", text(m)),
    "a dotted name below torch": lambda m: b"\x80\x04" + stack_global(short("torch"), short("serialization.os.mkdir")) + b"(" + text(m) + b"tR",
    "STACK_GLOBAL": lambda m: b"\x80\x04" + stack_global(short("os"), short("mkdir")) + b"(" + text(m) + b"tR",
    "STACK_GLOBAL by old strings": lambda m: b"\x80\x04" + stack_global(b"U\x02os", b"U\x05mkdir") + b"(" + text(m) + b"tR",
    "STACK_GLOBAL from the memo": lambda m: b"\x80\x04" + short("mkdir") + b"\x940" + short("os") + b"\x94" + b"h\x002"
    b"00h\x01h\x00\x93(" + text(m) + b"tR",
    "a memo that is written twice": lambda m: b"\x80\x04" + short("OrderedDict") + b"q\x070" + short("mkdir") + b"q\x070" + short("os") + b"h\x07\x93(" + text(m) + b"tR",
    "a decoy on the stack": lambda m: b"\x80\x04" + short("os") + b"(" + short("collections") + short("OrderedDict") + b"1" + short("mkdir") + b"\x93(" + text(m) + b"tR",
    "a computed name": lambda m: b"\x80\x04" + short("os") + call("_codecs", "encode", text("zxqve"), text("rot13")) + b"\x93(" + text(m) + b"tR",
    "INST": lambda m: b"(" + text(m) + b"ios\nmkdir\n",
    "OBJ": lambda m: b"(cos\nmkdir\n" + text(m) + b"o",
    "NEWOBJ": lambda m: b"cbuiltins\nbytes\n(cbuiltins\nmap\n(cos\nmkdir\n(" + text(m) + b"tt\x81t\x81",
    "a dict made of a map": lambda m: b"ccollections\nOrderedDict\n(cbuiltins\nmap\n(cos\nmkdir\n(" + text(m) + b"tt\x81tR",
    "BUILD": lambda m: call("builtins", "type", text("X"), b"(cbuiltins\nobject\nt", b"}" + text("__setstate__") + b"cos\nmkdir\ns") + b")\x81" + text(m) + b"b",
    "APPEND": lambda m: call("types", "SimpleNamespace") + b"}" + text("append") + b"cos\nmkdir\nsb" + text(m) + b"a",
    "SETITEM on a live dict": lambda m: b"\x80\x04" + stack_global(short("sys"), short("modules")) + text("marker_x") + b"Ns0" + call("os", "mkdir", text(m)),
    "several protocols": lambda m: b"\x80\x02\x80\x04\x80\x00" + call("os", "mkdir", text(m)),
    "frames": lambda m: b"\x80\x04\x95" + struct.pack("<Q", 1) + b"N0" + call("os", "mkdir", text(m)),
    "protocol 0": lambda m: b"cos\nmkdir\n(S" + repr(m).encode() + b"\ntR",
    "escapes": lambda m: b"cos\nmkdir\n(V" + "".join(f"\\u{ord(c):04x}" for c in m).encode() + b"\ntR",
    "a pickle in bytes": lambda m: call("pickle", "loads", b"C" + bytes([len(inner := call("os", "mkdir", text(m)) + STOP)]) + inner),
    "an old name for it": lambda m: b"\x80\x02" + call("commands", "getoutput", text(f"mkdir {m}")),
}  # fmt: skip

LOADER = b"ctorch.storage\n_load_from_bytes\n"
PARTIAL = b"cfunctools\npartial\n(" + LOADER


def _inner(marker: str) -> bytes:
    """A file that makes a folder when torch loads it."""
    return legacy_with(b"cos\nmkdir\n(" + text(marker) + b"tR.")


def _with(attribute: str, then: bytes) -> bytes:
    """A namespace with the loader as an attribute, which an opcode calls."""
    return b"ctypes\nSimpleNamespace\n)R}" + text(attribute) + LOADER + b"sb" + then


def _rebuilt(function: bytes, args: bytes) -> bytes:
    return b"ctorch._tensor\n_rebuild_from_type_v2\n(" + function + b"ctorch\nTensor\n" + args + b"}tR"


def _one_by_one(data: bytes) -> bytes:
    return b"(" + b"".join(b"K" + bytes([code]) for code in data)


def _patched(data: bytes) -> bytes:
    """A buffer in which nothing is wrong until three of its letters are replaced."""
    at = data.index(b"cos\n")
    first = data.replace(b"cos\nmkdir", b"cno\nmkdir", 1)
    changes = b"".join(b"M" + struct.pack("<H", at + step) + b"K%cs" % code for step, code in enumerate(b"cos"))
    return b"\x96" + struct.pack("<Q", len(first)) + first + changes


#: None of them names anything that is not part of tensors or known to be harmless.
LOADER_LIVE: dict[str, Payload] = {
    "APPEND calls it": lambda m: _with("append", raw(_inner(m)) + b"a"),
    "BUILD calls it": lambda m: _with("__setstate__", raw(_inner(m)) + b"b"),
    "a rebuilder calls it": lambda m: _rebuilt(LOADER, b"(" + raw(_inner(m)) + b"t"),
    "a partial of it": lambda m: _rebuilt(PARTIAL + raw(_inner(m)) + b"tR", b"(t"),
    "it comes from the memo": lambda m: b"\x80\x02" + LOADER + b"q\7" + raw(legacy_with(b"N.\x80\2].")) + b"\x85R0" + _rebuilt(b"h\7", b"(" + raw(_inner(m)) + b"t"),
    "it is doubled": lambda m: LOADER + b"2" + raw(legacy_with(b"N.\x80\2].")) + b"\x85Rp1\n00" + _with("append", raw(_inner(m)) + b"a"),
    "bytes of a list": lambda m: LOADER + b"(cbuiltins\nbytes\n(" + _one_by_one(_inner(m)) + b"ltRtR",
    "bytes that grow": lambda m: LOADER + b"(cbuiltins\nbytearray\n)R" + _one_by_one(_inner(m)) + b"etR",
    "bytes that change": lambda m: LOADER + b"(cbuiltins\nbytearray\n(" + raw(_inner(m).replace(b"cos\nmkdir", b"cno\nmkdir")) + b"tR" + b"".join(b"K%cK%cs" % (_inner(m).index(b"cos\n") + at, code) for at, code in enumerate(b"cos")) + b"tR",
    "bytes that an opcode makes and others change": lambda m: b"\x80\x05" + LOADER + b"(" + _patched(_inner(m) + bytes(5000)) + b"tR",
    "few bytes that an opcode makes and others change": lambda m: b"\x80\x05" + LOADER + b"(" + _patched(_inner(m)) + b"tR",
    "another name of an encoding": lambda m: LOADER + b"(c_codecs\nencode\n(" + text(_inner(m).decode("latin-1")) + text("L1") + b"tRtR",
}  # fmt: skip
