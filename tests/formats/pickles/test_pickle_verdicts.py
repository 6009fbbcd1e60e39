"""The verdict on names: what honest files refer to passes, what any attack was ever made of does not."""

from __future__ import annotations

import pytest

from modelhub.formats.pickles.verdicts import judge

ATTACKS = """
    os.system posix.system nt.system subprocess.Popen commands.getoutput pty.spawn runpy.run_path shutil.rmtree
    builtins.eval builtins.exec builtins.open builtins.getattr builtins.map builtins.__import__ builtins.compile
    __builtin__.eval __builtin__.apply __builtins__.eval exceptions.eval importlib.import_module importlib.reload
    pip.main pip._internal.main timeit.timeit ensurepip._run_pip pkgutil.resolve_name uuid._get_command_stdout
    imaplib.IMAP4_stream _osx_support._read_output _aix_support._read_cmd_output _pyrepl.pager.pipe_pager
    test.support.script_helper.assert_python_ok profile.run cProfile.runctx profile.Profile operator.attrgetter
    _operator.methodcaller functools.reduce itertools.starmap pickle.loads _pickle.loads cPickle.loads marshal.loads
    types.FunctionType types.CodeType code.InteractiveInterpreter typing.ForwardRef multiprocessing.util.spawnv_passfds
    _xxsubinterpreters.run_string _interpreters.exec io.open _io.FileIO codecs.open zipfile.ZipFile pathlib.Path.touch
    site.addsitedir atexit.register _posixsubprocess.fork_exec signal.signal socket.create_connection ctypes.CDLL
    urllib.request.urlopen urllib2.urlopen webbrowser.open smtplib.SMTP sqlite3.connect tempfile.mkstemp
    logging.FileHandler logging.config.listen asyncio.run bdb.Bdb pdb.run doctest.debug_script trace.Trace
    lib2to3.pgen2.pgen.ParserGenerator distutils.file_util.write_file idlelib.run.main pydoc.pipepager venv.create
    copyreg.add_extension copy_reg.add_extension sys.modules sys.setprofile gc.get_objects inspect.getattr_static
    torch.load torch.save torch.hub.load torch.hub.download_url_to_file torch.jit.load torch.jit._script.CompilationUnit
    torch.utils._config_module.load_config torch.utils.data.datapipes.utils.decoder.basichandlers
    torch.jit.unsupported_tensor_ops.execWrapper torch.utils.collect_env.run torch._inductor.codecache.compile_file
    torch.fx.experimental.symbolic_shapes.ShapeEnv torch._dynamo.guards.CheckFunctionManager torch.compile
    torch.serialization.load torch.storage.UntypedStorage.from_file torch.utils.cpp_extension.load_inline
    torch.package.PackageImporter torch.multiprocessing.spawn torch.distributed.rpc.rpc_sync torch.ops.load_library
    numpy.load numpy.save numpy.memmap numpy.fromfile numpy.f2py.crackfortran.getlincoef numpy.testing.rundocs
    numpy.testing._private.utils.runstring numpy.ctypeslib.load_library pandas.read_pickle pandas.eval dill.loads
    cloudpickle.loads joblib.load six.moves.builtins.eval jinja2.Template yaml.unsafe_load requests.get
    sympy.core.sympify.sympify sympy.parsing.sympy_parser.parse_expr networkx.read_gpickle
    torch.nn.parallel.distributed.dataclass torch.nn.utils.parametrize.deepcopy torch.optim.lr_scheduler.wraps
    torch.nn.parallel.parallel_apply.parallel_apply
    some.unknown.package.system anything.eval anything.exec
"""

HONEST = {
    "tensor": """
        collections.OrderedDict torch._utils._rebuild_tensor_v2 torch._utils._rebuild_parameter torch.FloatStorage
        torch.cuda.HalfStorage torch.storage.UntypedStorage torch.Size torch.float16 torch.float8_e4m3fn torch.device
        numpy.core.multiarray._reconstruct numpy._core.multiarray._reconstruct numpy.ndarray numpy.dtype _codecs.encode
        torch.nn.parameter.Parameter torch.nn.modules.container.ParameterDict torch._utils._rebuild_sparse_tensor
    """,
    "inert": """
        pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint numpy.core.multiarray.scalar argparse.Namespace
        lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint omegaconf.dictconfig.DictConfig typing.Any
        omegaconf.listconfig.ListConfig omegaconf.base.ContainerMetadata collections.defaultdict functools.partial
        __builtin__.set __builtin__.dict __builtin__.unicode pathlib.PosixPath easydict.EasyDict copy_reg._reconstructor
    """,
    "unknown": """
        ldm.modules.Whatever __main__.Net basicsr.archs.rrdbnet_arch.RRDBNet torch.nn.modules.conv.Conv2d
        torch.nn.modules.linear._LinearWithBias torch.nn.modules.container.Sequential torch.optim.adam.Adam
        torch.optim.lr_scheduler.LambdaLR torch.nn.functional.relu torch._C._nn.gelu ultralytics.nn.tasks.DetectionModel
        transformers.modeling_outputs.BaseModelOutput __torch__.Net
    """,
}


@pytest.mark.parametrize("path", ATTACKS.split())
def test_what_attacks_are_made_of_is_dangerous(path):
    parts = path.split(".")
    at = -2 if path.endswith((".touch", ".from_file")) else -1
    assert judge(".".join(parts[:at]), ".".join(parts[at:])) == "dangerous"


@pytest.mark.parametrize(
    ("verdict", "path"), [(verdict, path) for verdict, text in HONEST.items() for path in text.split()]
)
def test_what_honest_files_refer_to_is_not(verdict, path):
    module, _, name = path.rpartition(".")
    assert judge(module, name) == verdict


@pytest.mark.parametrize("name", ["OrderedDict.fromkeys", "", ".", "Storage.", "_rebuild_tensor_v2.__globals__"])
@pytest.mark.parametrize("module", ["collections", "torch", "torch._utils", "unknown"])
def test_a_name_with_dots_is_dangerous_below_any_module(module, name):
    assert judge(module, name) == "dangerous"
