"""The pickles in PyTorch's files of weights, read as data: a machine of some thirty opcodes that can call nothing."""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_OPCODES = 2_000_000  # a tensor takes about 30
LARGEST_PICKLE = 16 << 20  # bytes
LARGEST_NUMBER = 1 << 48
MOST_DIMENSIONS = 16
LONGEST_NAME = 200  # of a module and its member, in bytes

# PyTorch's storage types, and the type of their numbers as a safetensors file names it.
STORAGE_TYPES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip
ORDERED_DICT = "collections.OrderedDict"
REBUILD_TENSOR = "torch._utils._rebuild_tensor"
REBUILD_TENSOR_V2 = "torch._utils._rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
# All that a pickle of weights may name. A name stays a name here: it is never looked up or imported.
NAMES = frozenset(
    [ORDERED_DICT, REBUILD_TENSOR, REBUILD_TENSOR_V2, REBUILD_PARAMETER, *(f"torch.{name}" for name in STORAGE_TYPES)]
)


class PickleError(ValueError):
    """A pickle is damaged, or holds something other than weights; the message completes "it cannot be read: "."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a pickle names instead of holding it, such as `collections.OrderedDict`."""

    text: str


@dataclass(frozen=True, slots=True)
class Storage:
    """An array of numbers in the file.

    Args:
        key: Its name in the file.
        dtype: The type of its numbers, as a safetensors file names it.
        length: How many numbers it has.
    """

    key: str
    dtype: str
    length: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as a view of a storage, checked to lie inside it.

    Args:
        storage: Where its numbers are.
        offset: The number with which it begins.
        shape: Its shape.
        strides: How many numbers lie from one index to the next, for each dimension.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def span(self) -> int:
        """How many numbers of the storage lie between its first and its last, both included; 0 if it has none."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def is_contiguous(self) -> bool:
        """Whether its numbers lie one after the other, the last dimension's first."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True


class _Mark:
    """What the opcode MARK puts on the stack."""


MARK = _Mark()


class PickleReader:
    """Reads pickles one after the other from bytes.

    A pickle is a program for a machine with a stack. This machine has only the opcodes that build texts, numbers,
    tuples, lists and dicts, and REDUCE for the four functions that PyTorch's weights name, which are computed here.
    All others, such as those that import, call or change an object, are refused. It recreates no object of Python's.

    Args:
        content: The bytes. Bytes after the last pickle that is read may be anything.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._num_opcodes = 0

    def read(self) -> Any:
        """Reads the next pickle; `position` is then behind it.

        Returns:
            None, a bool, int, float, str, tuple, list or dict of these, `Name`s, `Storage`s and `StoredTensor`s.

        Raises:
            PickleError: if it is damaged, or needs what this machine does not have.
        """
        self._stack, self._memo = [], {}
        while True:
            self._num_opcodes += 1
            if self._num_opcodes > MOST_OPCODES:
                raise PickleError(f"its pickle has more than {MOST_OPCODES} steps")
            code = self._take(1)
            if code == b".":
                value = self._pop()
                if self._stack:
                    raise PickleError("its pickle ends with values left over")
                return value
            step = STEPS.get(code)
            if step is None:
                raise PickleError(f"its pickle has the opcode {code!r}, which no weights need and which may run code")
            step(self)

    def _take(self, length: int) -> bytes:
        end = self.position + length
        if end > len(self._content):
            raise PickleError("its pickle is cut off, or too large for weights")
        taken = self._content[self.position : end]
        self.position = end
        return taken

    def _skip(self, length: int) -> None:
        self._take(length)

    def _line(self) -> str:
        end = self._content.find(b"\n", self.position, self.position + LONGEST_NAME)
        if end < 0:
            raise PickleError("its pickle has a name that does not end")
        line = self._content[self.position : end]
        self.position = end + 1
        return _decode(line)

    def _number(self, layout: str) -> int:
        value: int = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return value

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is MARK:
            raise PickleError("its pickle takes a value that is not there")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is MARK:
                values = self._stack[place + 1 :]
                del self._stack[place:]
                return values
        raise PickleError("its pickle takes values back to a mark that is not there")

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise PickleError(f"its pickle changes a value that is no {kind.__name__}")
        return self._stack[-1]

    def _push_text(self, length: int) -> None:
        self._push(_decode(self._take(length)))

    def _push_tuple(self, length: int) -> None:
        values = [self._pop() for _ in range(length)]
        self._push(tuple(reversed(values)))

    def _push_name(self, module: Any, member: Any) -> None:
        if type(module) is not str or type(member) is not str:
            raise PickleError("its pickle names something by a value that is no text")
        text = f"{module}.{member}"
        if text not in NAMES:
            raise PickleError(
                f"its pickle asks for {text[:LONGEST_NAME]}, which no weights need and which may run code"
            )
        self._push(Name(text))

    def _push_stack_name(self) -> None:
        member, module = self._pop(), self._pop()
        self._push_name(module, member)

    def _push_line_name(self) -> None:
        module, member = self._line(), self._line()
        self._push_name(module, member)

    def _push_long(self) -> None:
        self._push(int.from_bytes(self._take(self._number("<B")), "little", signed=True))

    def _append(self, values: list[Any]) -> None:
        self._top(list).extend(values)

    def _set_items(self, values: list[Any]) -> None:
        _fill(self._top(dict), values[::2], values[1::2])

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _remember(self, number: int) -> None:
        if not self._stack:
            raise PickleError("its pickle remembers a value that is not there")
        self._memo[number] = self._stack[-1]

    def _recall(self, number: int) -> None:
        if number not in self._memo:
            raise PickleError("its pickle recalls a value that it has not remembered")
        self._push(self._memo[number])

    def _build(self) -> None:
        """Drops what is set on an OrderedDict: the versions of a state dict's modules."""
        state = self._pop()
        if type(state) is not dict:
            raise PickleError("its pickle sets the state of an object, which may run code")
        self._top(dict)

    def _reduce(self) -> None:
        arguments, name = self._pop(), self._pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise PickleError("its pickle calls a value that is no function of PyTorch's weights")
        make = MAKERS.get(name.text)
        if make is None:
            raise PickleError(f"its pickle calls {name.text}, which makes no tensor")
        self._push(make(arguments))

    def _push_storage(self) -> None:
        self._push(_to_storage(self._pop()))


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise PickleError("its pickle has a text that is not UTF-8") from error


def _fill(target: dict[str, Any], keys: list[Any], values: list[Any]) -> None:
    if len(keys) != len(values) or any(type(key) is not str for key in keys):
        raise PickleError("its pickle has a dict whose keys are no texts")
    target.update(zip(keys, values, strict=True))


def _to_storage(described: Any) -> Storage:
    """Reads the description of a storage: `("storage", type, key, device, length)`, in old files and a view of it."""
    if type(described) is not tuple or not 5 <= len(described) <= 6 or described[0] != "storage":
        raise PickleError("its pickle describes a storage in another way than PyTorch")
    _, kind, key, _, length = described[:5]
    dtype = STORAGE_TYPES.get(kind.text.removeprefix("torch.")) if type(kind) is Name else None
    if dtype is None or type(key) is not str:
        raise PickleError("its pickle has a storage of a type that tfchain does not read")
    if len(described) == 6 and described[5] is not None:
        raise PickleError("its pickle has a storage inside another, which only PyTorch before 0.4 wrote")
    _check_number(length)
    return Storage(key, dtype, length)


def _to_tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    """Reads the arguments of `_rebuild_tensor` and `_rebuild_tensor_v2`: storage, offset, shape, strides, others."""
    if not 4 <= len(arguments) <= 7 or type(arguments[0]) is not Storage:
        raise PickleError("its pickle has a tensor without a storage")
    storage, offset, shape, strides = arguments[:4]
    for numbers in (shape, strides):
        if type(numbers) is not tuple or len(numbers) > MOST_DIMENSIONS:
            raise PickleError("its pickle has a tensor without a shape")
    if len(shape) != len(strides):
        raise PickleError("its pickle has a tensor with more dimensions than strides")
    for number in (offset, *shape, *strides):
        _check_number(number)
    tensor = StoredTensor(storage, offset, shape, strides)
    # The second condition refuses tensors that repeat numbers, whose size the file does not limit.
    if offset + tensor.span > storage.length or math.prod(shape) > storage.length:
        raise PickleError(f"its pickle has a tensor of the shape {shape} outside a storage of {storage.length} numbers")
    return tensor


def _check_number(number: Any) -> None:
    if type(number) is not int or not 0 <= number < LARGEST_NUMBER:
        raise PickleError("its pickle has a size that is no whole number of at least 0")


def _to_parameter(arguments: tuple[Any, ...]) -> StoredTensor:
    if len(arguments) != 3 or type(arguments[0]) is not StoredTensor:
        raise PickleError("its pickle has a parameter without a tensor")
    return arguments[0]


def _to_dict(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Makes a dict of nothing, or of the list of pairs that Python 2 wrote."""
    pairs = arguments[0] if len(arguments) == 1 else []
    if len(arguments) > 1 or type(pairs) is not list or any(type(pair) is not list or len(pair) != 2 for pair in pairs):
        raise PickleError("its pickle makes an OrderedDict of something else than pairs")
    made: dict[str, Any] = {}
    _fill(made, [key for key, _ in pairs], [value for _, value in pairs])
    return made


MAKERS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
    ORDERED_DICT: _to_dict,
    REBUILD_TENSOR: _to_tensor,
    REBUILD_TENSOR_V2: _to_tensor,
    REBUILD_PARAMETER: _to_parameter,
}

# The machine's opcodes, named as in Python's pickletools.
STEPS: Mapping[bytes, Callable[[PickleReader], None]] = {
    b"\x80": lambda self: self._skip(1),  # PROTO
    b"\x95": lambda self: self._skip(8),  # FRAME
    b"(": lambda self: self._push(MARK),  # MARK
    b"N": lambda self: self._push(None),  # NONE
    b"\x88": lambda self: self._push(True),  # NEWTRUE
    b"\x89": lambda self: self._push(False),  # NEWFALSE
    b"K": lambda self: self._push(self._number("<B")),  # BININT1
    b"M": lambda self: self._push(self._number("<H")),  # BININT2
    b"J": lambda self: self._push(self._number("<i")),  # BININT
    b"\x8a": PickleReader._push_long,  # LONG1
    b"G": lambda self: self._push(self._number(">d")),  # BINFLOAT
    b"X": lambda self: self._push_text(self._number("<I")),  # BINUNICODE
    b"\x8c": lambda self: self._push_text(self._number("<B")),  # SHORT_BINUNICODE
    b"U": lambda self: self._push_text(self._number("<B")),  # SHORT_BINSTRING
    b"T": lambda self: self._push_text(self._number("<I")),  # BINSTRING
    b")": lambda self: self._push(()),  # EMPTY_TUPLE
    b"\x85": lambda self: self._push_tuple(1),  # TUPLE1
    b"\x86": lambda self: self._push_tuple(2),  # TUPLE2
    b"\x87": lambda self: self._push_tuple(3),  # TUPLE3
    b"t": lambda self: self._push(tuple(self._pop_to_mark())),  # TUPLE
    b"]": lambda self: self._push([]),  # EMPTY_LIST
    b"a": lambda self: self._append([self._pop()]),  # APPEND
    b"e": lambda self: self._append(self._pop_to_mark()),  # APPENDS
    b"}": lambda self: self._push({}),  # EMPTY_DICT
    b"s": PickleReader._set_item,  # SETITEM
    b"u": lambda self: self._set_items(self._pop_to_mark()),  # SETITEMS
    b"q": lambda self: self._remember(self._number("<B")),  # BINPUT
    b"r": lambda self: self._remember(self._number("<I")),  # LONG_BINPUT
    b"\x94": lambda self: self._remember(len(self._memo)),  # MEMOIZE
    b"h": lambda self: self._recall(self._number("<B")),  # BINGET
    b"j": lambda self: self._recall(self._number("<I")),  # LONG_BINGET
    b"c": PickleReader._push_line_name,  # GLOBAL
    b"\x93": PickleReader._push_stack_name,  # STACK_GLOBAL
    b"Q": PickleReader._push_storage,  # BINPERSID
    b"R": PickleReader._reduce,  # REDUCE
    b"b": PickleReader._build,  # BUILD
}
