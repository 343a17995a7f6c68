"""The run-time half of the language level: attribute reads by name, writes, formatting, builtins.

Everything here may be called by a program with any argument. Each function is written so that what
it returns is either data, something the program made itself, or something it could have had by a
checked expression.
"""

import builtins
import decimal
import re
import string
from _string import formatter_field_name_split  # type: ignore[import-not-found]
from collections import UserString
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, NoReturn

from autoif_dagster.sandbox.facades import Facade, guarded_import, is_own_class
from autoif_dagster.sandbox.policy import (
    PROGRAM_MODULE,
    Refused,
    compile_expression,
    is_forbidden_attribute,
    public_name,
)

_EXPRESSION_MAX_CHARS = 20_000
_EXPRESSION_MAX_NODES = 5_000

# A replacement field that reaches into its value. Too many matches only cost time.
_REACHING_FIELD = re.compile(r"\{[^{}:!]*[.\[]")

_MISSING = object()


# Formatting ---------------------------------------------------------------------------------


class _GuardedFormatter(string.Formatter):
    """``{0.name}`` reads attributes by string: the same rules as anywhere else."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, int | str]:
        first, rest = formatter_field_name_split(field_name)
        value = self.get_value(first, args, kwargs)
        for is_attribute, key in rest:
            value = guarded_getattr(value, key) if is_attribute else value[key]
        return value, first


_FORMATTER = _GuardedFormatter()


def _format(template: str, *args: object, **kwargs: object) -> str:
    template = str.__str__(template)
    if _REACHING_FIELD.search(template) is None:
        return template.format(*args, **kwargs)
    return _FORMATTER.vformat(template, args, kwargs)


def _format_map(template: str, mapping: Mapping[str, object]) -> str:
    template = str.__str__(template)
    if _REACHING_FIELD.search(template) is None:
        return template.format_map(mapping)
    return _FORMATTER.vformat(template, (), mapping)


def _defined_by_program(cls: type, name: str) -> bool:
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__.get("__module__") == PROGRAM_MODULE
    return False


def _read_format(owner: object, name: str) -> object:
    cls = owner if isinstance(owner, type) else type(owner)
    if _defined_by_program(cls, name):
        return getattr(owner, name)
    function = _format if name == "format" else _format_map
    if isinstance(owner, type):
        if issubclass(owner, (str, UserString)):
            return lambda template, *args, **kwargs: function(str(template), *args, **kwargs)
    elif isinstance(owner, (str, UserString)):
        template = str(owner)
        return lambda *args, **kwargs: function(template, *args, **kwargs)
    elif is_own_class(cls):
        # An instance attribute of that name; inherited text methods were caught above.
        return _own_namespace(owner)[name]
    raise AttributeError(f'"{name}" cannot be read here')


# Attributes ---------------------------------------------------------------------------------


def _own_namespace(owner: object) -> dict[str, object]:
    if not isinstance(owner, (type, FunctionType)) and is_own_class(type(owner)):
        namespace = getattr(owner, "__dict__", None)
        if type(namespace) is dict:
            return namespace
    raise AttributeError('"__dict__" can be read on objects of the program only')


def _read_init(owner: object) -> object:
    # Initializing a shared object again would change it for the next program.
    if isinstance(owner, super):
        return getattr(owner, "__init__")  # noqa: B009
    if isinstance(owner, type) and (
        is_own_class(owner) or owner in _INITIALIZABLE or issubclass(owner, BaseException)
    ):
        return getattr(owner, "__init__")  # noqa: B009
    raise AttributeError('"__init__" can be read on classes of the program only')


_INITIALIZABLE = frozenset({dict, list, object, set, bytearray})


def guarded_getattr(owner: object, name: str, default: object = _MISSING) -> object:
    """``getattr`` of a program, and the reads the policy could not decide while compiling."""
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    name = public_name(name)
    try:
        match name:
            case "format" | "format_map":
                return _read_format(owner, name)
            case "__class__":
                return guarded_type(owner)
            case "__dict__":
                return _own_namespace(owner)
            case "__init__":
                return _read_init(owner)
            case "__name__":
                value = getattr(owner, name)
                if type(value) is not str:
                    raise AttributeError('"__name__" is not a string here')
                return value
            case "obj" if isinstance(owner, (AttributeError, NameError)):
                raise AttributeError('"obj" cannot be read here')
        if is_forbidden_attribute(name):
            raise AttributeError(f'"{name}" cannot be read here')
        return getattr(owner, name)
    except AttributeError:
        if default is _MISSING:
            raise
        return default


def guarded_hasattr(owner: object, name: str) -> bool:
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    # The answer is one bit, so special names may be asked for as well.
    return hasattr(owner, public_name(name))


def guarded_write(owner: object) -> object:
    """The object of an attribute store; raises unless the program made it."""
    kind = type(owner)
    if kind is FunctionType:
        if owner.__globals__.get("__name__") == PROGRAM_MODULE:  # type: ignore[attr-defined]
            return owner
    elif isinstance(owner, type):
        if owner.__dict__.get("__module__") == PROGRAM_MODULE:
            return owner
    elif kind is SimpleNamespace or kind is decimal.Context or is_own_class(kind):
        return owner
    raise TypeError(f"attributes of {kind.__name__!r} objects cannot be set here")


def _writable_name(name: object) -> str:
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    name = public_name(name)
    if name.startswith("_") or is_forbidden_attribute(name):
        raise AttributeError(f'"{name}" cannot be set here')
    return name


def guarded_setattr(owner: object, name: str, value: object) -> None:
    setattr(guarded_write(owner), _writable_name(name), value)


def guarded_delattr(owner: object, name: str) -> None:
    delattr(guarded_write(owner), _writable_name(name))


def guarded_vars(owner: object) -> dict[str, object]:
    return _own_namespace(owner)


def guarded_dir(owner: object) -> list[str]:
    return [name for name in dir(owner) if not is_forbidden_attribute(name)]


# type() ---------------------------------------------------------------------------------------

_HIDDEN_KINDS = (type, ModuleType, FunctionType, Facade, type(guarded_dir.__code__))


class _TypeOfTypes(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, type)

    def __setattr__(cls, name: str, value: object) -> NoReturn:
        raise TypeError("type is read-only here")


class guarded_type(metaclass=_TypeOfTypes):  # noqa: N801 - programs see it as `type`
    """``type`` with one argument. A class, because programs also write ``isinstance(x, type)``."""

    __slots__ = ()

    def __new__(cls, instance: object, *rest: object) -> Any:
        if rest:
            raise TypeError("type() takes 1 argument here")
        kind = type(instance)
        if issubclass(kind, _HIDDEN_KINDS):
            raise TypeError("the type of types, functions and modules is not available here")
        return kind

    def __init_subclass__(cls, **options: object) -> NoReturn:
        raise TypeError("type cannot be a base class here")


# Builtins -----------------------------------------------------------------------------------


def _print(*_values: object, **_options: object) -> None:
    """Nobody reads it."""


def _open(*_args: object, **_options: object) -> NoReturn:
    raise PermissionError("files cannot be opened here")


def _input(_prompt: object = "") -> NoReturn:
    raise EOFError("there is no input here")


def _exit(_code: object = None) -> NoReturn:
    raise SystemExit


def guarded_eval(source: str, global_names: Any = None, local_names: Any = None) -> object:
    """One expression under the same policy; it sees the builtins and the names it is given."""
    if not isinstance(source, str):
        raise TypeError("eval() takes a string here")
    try:
        code = compile_expression(
            str.__str__(source).strip(),
            max_chars=_EXPRESSION_MAX_CHARS,
            max_nodes=_EXPRESSION_MAX_NODES,
        )
    except Refused as refusal:
        raise SyntaxError(str(refusal)) from None
    namespace = new_namespace()
    for names in (global_names, local_names):
        if type(names) is dict:
            namespace.update(
                (key, value)
                for key, value in names.items()
                if type(key) is str and not key.startswith("_")
            )
    return eval(code, namespace)  # noqa: S307 - compiled under the policy


_NATIVE_BUILTINS = (
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod "
    "enumerate filter float format frozenset hash hex id int isinstance issubclass iter len list "
    "map max memoryview min next object oct ord pow property range repr reversed round set slice "
    "sorted staticmethod str sum super tuple zip Ellipsis NotImplemented __build_class__"
).split()


def _exceptions() -> dict[str, object]:
    """All but groups: ``except*`` is refused, and a group can hold what must not be caught."""
    return {
        name: value
        for name, value in vars(builtins).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and not name.endswith("Group")
    }


_REPLACED_BUILTINS: dict[str, Callable[..., object] | type] = {
    # `except BaseException` would swallow the timeout.
    "BaseException": Exception,
    "__import__": guarded_import,
    "delattr": guarded_delattr,
    "dir": guarded_dir,
    "eval": guarded_eval,
    "exit": _exit,
    "getattr": guarded_getattr,
    "hasattr": guarded_hasattr,
    "input": _input,
    "open": _open,
    "print": _print,
    "quit": _exit,
    "setattr": guarded_setattr,
    "type": guarded_type,
    "vars": guarded_vars,
}

BUILTINS: dict[str, object] = {
    **{name: getattr(builtins, name) for name in _NATIVE_BUILTINS},
    **_exceptions(),
    **_REPLACED_BUILTINS,
}
"""Shared by all namespaces: no expression of a program evaluates to it."""


def new_namespace() -> dict[str, object]:
    """The globals of one program on one text."""
    return {
        "__builtins__": BUILTINS,
        "__name__": PROGRAM_MODULE,
        "_getattr_": guarded_getattr,
        "_write_": guarded_write,
    }
