"""TensorFlow Serving's messages and stubs without TensorFlow: 25 ms and 3 MB in place of seconds and 640 MB."""

import importlib
import importlib.util
import logging
import pkgutil
import sys
import threading
from types import ModuleType
from typing import Any

TENSORFLOW = "tensorflow"
SERVING = ("tensorflow_serving.apis", "tensorflow_serving.config")
MORE = ("tensorflow.core.protobuf.saved_model_pb2",)
logger = logging.getLogger(__name__)
_lock = threading.Lock()


def load_serving_protos() -> None:
    """Imports all modules of tensorflow-serving-api, so that later imports of them do not import TensorFlow.

    Generated modules (`…_pb2.py`) need only the package `protobuf` and each other, but those of TensorFlow are inside
    the package `tensorflow`, of which the `__init__.py` loads all of TensorFlow. So an empty package with the same
    folder takes its place while they are imported, and is removed afterwards together with its submodules. If
    TensorFlow is imported later, it imports the modules again, which gives the same message classes: protobuf has one
    class for a message of a given name.

    Call it before other threads import TensorFlow. It does nothing if TensorFlow is there already.
    """
    with _lock:
        if TENSORFLOW in sys.modules:
            return
        found = importlib.util.find_spec(TENSORFLOW)
        if found is None or found.submodule_search_locations is None:
            return  # the import of the messages then says what is missing
        package = ModuleType(TENSORFLOW)
        package.__path__ = list(found.submodule_search_locations)
        sys.modules[TENSORFLOW] = package
        try:
            for name in (*_list_serving_modules(), *MORE):
                importlib.import_module(name)
        except ImportError as error:  # a later release may generate other imports: then TensorFlow is imported
            logger.info("The messages of TensorFlow Serving need TensorFlow here: %s", error)
        finally:
            for name in [name for name in sys.modules if name == TENSORFLOW or name.startswith(f"{TENSORFLOW}.")]:
                del sys.modules[name]


def find_message(name: str) -> type[Any]:
    """Returns the class of a message of TensorFlow or TensorFlow Serving.

    Args:
        name: The full name, such as `tensorflow.SavedModel`.
    """
    from google.protobuf import descriptor_pool, message_factory

    load_serving_protos()
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:  # TensorFlow was imported without this file
        for module in MORE:
            importlib.import_module(module)
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    found: type[Any] = message_factory.GetMessageClass(descriptor)
    return found


def _list_serving_modules() -> list[str]:
    names = []
    for package in SERVING:
        folder = importlib.import_module(package).__path__
        names += [f"{package}.{module.name}" for module in pkgutil.iter_modules(folder)]
    return names
