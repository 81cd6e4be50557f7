"""Stand-ins for the Python packages tensorrt and cuda-python.

Classes, members and parameters are those of tensorrt 10.16.1 and 11.4.0, read from their wheels, and of cuda-bindings
13.5.0. The one engine computes the largest channel of an image as an integer.
"""

import ctypes
import sys
from enum import Enum, IntEnum
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np

STREAM = 7


class CudaError(IntEnum):
    SUCCESS = 0
    INVALID_DEVICE = 101


DONE = (CudaError.SUCCESS,)


class Gpu:
    """The memory of a GPU, and what was asked of it."""

    def __init__(self):
        self.memory, self.calls = {}, []

    def runtime(self):
        """Return what the module cuda.bindings.runtime holds."""
        return {
            "cudaMalloc": self.malloc,
            "cudaMemcpy": self.memcpy,
            "cudaSetDevice": self.set_device,
            "cudaFree": self.free,
            "cudaMemcpyKind": SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2),
            "cudaStreamCreate": lambda: (*DONE, STREAM),
            "cudaStreamDestroy": lambda _: DONE,
            "cudaStreamSynchronize": lambda _: DONE,
            "cudaEventCreate": lambda: (*DONE, object()),
            "cudaEventRecord": lambda _, __: DONE,
            "cudaEventSynchronize": lambda _: DONE,
            "cudaEventElapsedTime": lambda _, __: (*DONE, 6.25),
            "cudaGetErrorString": lambda _: (*DONE, b"invalid device ordinal"),
        }

    def malloc(self, size):
        address = 4096 * (len(self.memory) + 1)
        self.memory[address] = bytearray(size)
        return (*DONE, address)

    def free(self, address):
        del self.memory[address]
        return DONE

    def memcpy(self, dst, src, count, kind):
        if kind == 1:
            self.memory[dst][:count] = ctypes.string_at(src, count)
        else:
            ctypes.memmove(dst, bytes(self.memory[src][:count]), count)
        return DONE

    def set_device(self, device):
        self.calls.append(f"device {device}")
        return DONE if device < 2 else (CudaError.INVALID_DEVICE,)


class TensorRt:
    """A release of tensorrt; `refuses` is what it does not do: parse, build, load or run."""

    def __init__(self, gpu, release="10.16.1.11", refuses=""):
        self.gpu, self.release, self.refuses = gpu, release, refuses
        self.flags, self.allowed, self.cleared, self.profile, self.shapes = 0, [], [], {}, {}

    @property
    def engine(self):
        return b"engine of " + self.release.encode()

    def module(self):
        """Return what the module tensorrt holds."""
        before_11 = int(self.release.partition(".")[0]) < 11
        names = ("FP16", "INT8", "TF32") if before_11 else ("TF32",)
        network_flags = {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1} if before_11 else {"STRONGLY_TYPED": 1}
        return {
            "__version__": self.release,
            "ILogger": type("ILogger", (Logger,), {"fake": self, **Severity.__members__}),
            "Builder": Builder,
            "OnnxParser": OnnxParser,
            "Runtime": Runtime,
            "BuilderFlag": Enum("BuilderFlag", names),
            "NetworkDefinitionCreationFlag": IntEnum("NetworkDefinitionCreationFlag", network_flags),
            "nptype": np.dtype,
            "init_libnvinfer_plugins": lambda logger, namespace: logger.ready and namespace == "",
        }


class Severity(Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class Logger:
    def __init__(self):
        self.ready = True


class Builder:
    def __init__(self, logger):
        assert logger.ready
        self.logger, self.fake = logger, logger.fake

    def create_network(self, flags=0):
        self.fake.flags = flags
        return object()

    def create_builder_config(self):
        return SimpleNamespace(
            set_flag=lambda flag: self.fake.allowed.append(flag.name),
            clear_flag=lambda flag: self.fake.cleared.append(flag.name),
            add_optimization_profile=lambda _: 0,
        )

    def create_optimization_profile(self):
        return SimpleNamespace(set_shape=lambda name, *sizes: self.fake.profile.update({name: sizes}))

    def build_serialized_network(self, network, config):
        assert network
        assert config
        self.logger.log(Severity.INFO, "building")
        if self.fake.refuses != "build":
            return self.fake.engine
        self.logger.log(Severity.ERROR, "Error Code 10: no implementation for node Resize_7.")
        self.logger.log(Severity.ERROR, "Engine could not be created from network")
        return None


class OnnxParser:
    def __init__(self, network, logger):
        assert network
        self.num_errors = int(logger.fake.refuses == "parse")

    def parse_from_file(self, model):
        return model.endswith(".onnx") and not self.num_errors

    def get_error(self, index):
        assert index == 0
        return SimpleNamespace(desc=lambda: "No importer registered for op: AdaptiveAvgPool2d.")


class Runtime:
    def __init__(self, logger):
        self.logger = logger

    def deserialize_cuda_engine(self, serialized_engine):
        if serialized_engine == self.logger.fake.engine:
            return Engine(self.logger.fake)
        self.logger.log(Severity.ERROR, "Serialization assertion failed: version tag does not match")
        return None


class Engine:
    num_io_tensors = 2

    def __init__(self, fake):
        self.fake = fake

    def get_tensor_name(self, index):
        return ("image", "label")[index]

    def get_tensor_dtype(self, name):
        return {"image": "float32", "label": "int32"}[name]

    def create_execution_context(self):
        return Context(self.fake)


class Context:
    def __init__(self, fake):
        self.fake, self.at = fake, {}

    def set_tensor_address(self, name, memory):
        self.at[name] = memory
        return True

    def set_input_shape(self, name, shape):
        self.fake.shapes[name] = shape
        return True

    def execute_async_v3(self, stream_handle):
        if self.fake.refuses == "run" or stream_handle != STREAM:
            return False
        memory = self.fake.gpu.memory
        image = np.frombuffer(memory[self.at["image"]], np.float32).reshape(self.fake.shapes["image"])
        memory[self.at["label"]][:] = image.max(axis=1).astype(np.int32).tobytes()
        return True


def cuda(gpu):
    """Return the modules of cuda-python, for `install`."""
    return {"cuda": {"__path__": []}, "cuda__bindings": {"__path__": []}, "cuda__bindings__runtime": gpu.runtime()}


def install(monkeypatch, **contents):
    """Make modules importable; a name has ``__`` where the module has a dot."""
    for key, content in contents.items():
        name = key.replace("__", ".")
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
