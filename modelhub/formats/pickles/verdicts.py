"""What to think of a name that a pickle refers to: part of a tensor, known and harmless, unknown, or dangerous.

Nothing is ever imported or called, so this decides only what a user is told, and whether a file is refused. It is a
list of what is good, not of what is bad: a function of the standard library, of torch or of numpy that no model file
needs is dangerous, whether anybody has found an attack with it or not.
"""

from __future__ import annotations

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

from modelhub.formats.pickles.values import Verdict


def _names(text: str) -> frozenset[str]:
    """`module: name name` lines as dotted names."""
    lines = (line.partition(":") for line in text.strip().splitlines())
    return frozenset(f"{module.strip()}.{name}" for module, _, names in lines for name in names.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: How torch and numpy write tensors.
_TENSOR = _names("""
    collections: OrderedDict
    torch: Size device Tensor float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool
    torch: complex32 complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu
    torch: quint8 qint8 qint32 quint4x2 quint2x4 float4_e2m1fn_x2 strided sparse_coo per_tensor_affine
    torch.nn.parameter: Parameter UninitializedParameter Buffer
    torch.nn: Parameter
    torch.nn.modules.container: ParameterDict ParameterList
    torch._tensor: _rebuild_from_type_v2 _rebuild_from_type Tensor
    torch.tensor: _rebuild_from_type
    torch.storage: _load_from_bytes UntypedStorage TypedStorage _UntypedStorage _TypedStorage
    torch.serialization: _get_layout
    numpy: ndarray dtype
    numpy.core.multiarray: _reconstruct
    numpy._core.multiarray: _reconstruct
    numpy.core.numeric: _frombuffer
    numpy._core.numeric: _frombuffer
    _codecs: encode
""")

_STORAGES = frozenset(
    f"{word}Storage"
    for word in (
        "Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool", "ComplexFloat",
        "ComplexDouble", "QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4", "Untyped", "Typed",
    )
)  # fmt: skip

#: What honest checkpoints hold beside their tensors.
_INERT = _names("""
    builtins: dict list tuple set frozenset int float bool str bytes bytearray complex slice range object
    builtins: Ellipsis NotImplemented
    collections: defaultdict Counter deque
    argparse: Namespace
    types: SimpleNamespace
    functools: partial
    copyreg: _reconstructor __newobj__ __newobj_ex__
    datetime: datetime date time timedelta timezone
    decimal: Decimal
    fractions: Fraction
    uuid: UUID
    enum: Enum IntEnum
    array: array
    pathlib: Path PurePath PosixPath WindowsPath PurePosixPath PureWindowsPath
    pathlib._local: Path PurePath PosixPath WindowsPath PurePosixPath PureWindowsPath
    typing: Any Dict List Tuple Set Union Optional
    numpy.core.multiarray: scalar
    numpy._core.multiarray: scalar
    numpy: float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool_ bool str_
    omegaconf.dictconfig: DictConfig
    omegaconf.listconfig: ListConfig
    omegaconf.base: ContainerMetadata Metadata
    omegaconf.nodes: AnyNode StringNode IntegerNode FloatNode BooleanNode
    easydict: EasyDict
    pytorch_lightning.callbacks.model_checkpoint: ModelCheckpoint
    pytorch_lightning.callbacks.early_stopping: EarlyStopping
    pytorch_lightning.utilities.parsing: AttributeDict
    lightning.pytorch.callbacks.model_checkpoint: ModelCheckpoint
    lightning.pytorch.callbacks.early_stopping: EarlyStopping
    lightning_fabric.utilities.data: AttributeDict
    torch: Generator
    torch.torch_version: TorchVersion
    torch.amp.grad_scaler: _refresh_per_optimizer_state
    torch.cuda.amp.grad_scaler: _refresh_per_optimizer_state
    numpy.random._pickle: __randomstate_ctor __generator_ctor __bit_generator_ctor
    torch.jit._pickle: build_intlist build_tensorlist build_doublelist build_boollist build_tensor_from_id
    torch.jit._pickle: restore_type_tag
""")

#: Modules of older and newer Pythons, and those that a list of the standard library leaves out.
_MORE_STDLIB = _words("""
    test _testcapi _testinternalcapi _interpreters _xxsubinterpreters _interpchannels _pyrepl imp distutils
    asyncore asynchat smtpd telnetlib cgi cgitb crypt pipes nntplib aifc audioop chunk imghdr mailcap msilib nis
    ossaudiodev sndhdr spwd sunau uu xdrlib lib2to3 commands popen2 exceptions new __builtin__ __builtins__
    compression annotationlib concurrent pathlib nturl2path idlelib site sitecustomize usercustomize
""")
#: Packages that load, fetch or run things by trade.
_TOOLS = _words("""
    pip setuptools pkg_resources wheel six future past dill cloudpickle cloudpickle_fast joblib jsonpickle
    pexpect invoke fabric paramiko sh plumbum psutil IPython ipykernel jinja2 mako yaml requests urllib3 httpx
    aiohttp fsspec numexpr asteval sympy mpmath networkx execnet pytest _pytest nose lib2to3 pydoc_data cffi pyximport
""")
#: Parts of torch and numpy in which classes, too, compile, load or run things.
_WORKSHOPS = (
    "torch.jit", "torch._C", "torch.package", "torch.hub", "torch.serialization", "torch._dynamo", "torch._inductor",
    "torch.fx", "torch.utils.cpp_extension", "torch.utils._config_module", "torch.multiprocessing", "torch.testing",
    "torch.onnx", "torch.export", "torch.distributed.rpc", "torch.distributed.elastic", "torch.distributed.run",
    "torch.utils.model_zoo", "torch.utils.bottleneck", "torch.utils.collect_env", "torch._export", "torch._numpy",
    "numpy.f2py", "numpy.testing", "numpy.distutils", "numpy.ctypeslib", "numpy.lib", "numpy.compat",
)  # fmt: skip
#: Parts of torch whose functions compute and do nothing else: whole modules keep them as attributes.
_COMPUTING = ("torch.nn.functional", "torch._C._nn", "torch.nn.init")
#: Parts of torch whose classes are what models are made of; their functions are often others', imported there.
_BUILDING = ("torch.nn", "torch.optim")
#: Names that run, load or reach things wherever they stand.
_RISKY = _words("""
    system popen popen2 popen3 popen4 Popen exec execfile eval compile run runcode runsource call check_call
    check_output getoutput getstatusoutput spawn fork import_module __import__ getattr setattr delattr
    __getattr__ __getattribute__ open load loads load_module exec_module resolve_name read_pickle to_pickle
    urlopen urlretrieve breakpoint input globals locals vars __reduce__ __subclasses__ __globals__ __builtins__
""")


def judge(module: str, name: str) -> Verdict:
    """The verdict on `module.name`, as Python 3 would understand it and as it is written, whichever is worse."""
    written, meant = _judge(module, name), _judge(*modern(module, name))
    return "dangerous" if written == "dangerous" and module not in IMPORT_MAPPING else meant


def modern(module: str, name: str) -> tuple[str, str]:
    """The name that Python 3 looks up for what a Python 2 pickle calls `module.name`."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def _judge(module: str, name: str) -> Verdict:
    path = f"{module}.{name}"
    if "." in name or not name:
        return "dangerous"
    if path in _TENSOR or (name in _STORAGES and module in ("torch", "torch.cuda", "torch.storage")):
        return "tensor"
    if module == "torch._utils" and name.startswith("_rebuild_"):
        return "tensor"
    if path in _INERT:
        return "inert"
    return "dangerous" if name in _RISKY or _dangerous_place(module, name) else "unknown"


def _dangerous_place(module: str, name: str) -> bool:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in _MORE_STDLIB or top in _TOOLS:
        return True
    if _within(module, _COMPUTING):
        return False
    if _within(module, _BUILDING):
        return not name.lstrip("_")[:1].isupper()
    if _within(module, _WORKSHOPS):
        return True
    return top in ("torch", "numpy", "pandas", "scipy", "tensorflow") and not name[:1].isupper()


def _within(module: str, places: tuple[str, ...]) -> bool:
    return module in places or module.startswith(tuple(f"{place}." for place in places))
