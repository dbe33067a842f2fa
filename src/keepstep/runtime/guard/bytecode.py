"""A small abstract run over the bytecode of one function: which known things does it mention and call?

Bytecode rather than source, because it is there in every deployment and says exactly what a name refers to. The walk
follows the value stack just far enough to carry known things (modules, classes, functions, instances of known classes)
from where they are loaded through attributes, local aliases and imports to where they are called. Everything else is
``UNKNOWN``, and an instruction that the walk has no rule for only costs knowledge: it replaces what it may have
produced by ``UNKNOWN``. So a newer Python's instructions make the scan see less and never invent a finding.

Code is walked twice in the order of its offsets: the first time to learn what the local names stand for (two
different meanings make ``UNKNOWN``), the second time to report. Stacks are carried along forward jumps; where an
exception handler begins, the depth comes from the exception table.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import CodeType
from typing import Any, NamedTuple

from .thing import UNKNOWN, Thing, attribute, imported

_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_NEUTRAL = frozenset({"NOP", "CACHE", "RESUME", "PRECALL", "EXTENDED_ARG", "COPY_FREE_VARS", "MAKE_CELL"})
_ENDS = frozenset({"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT"})
_ONLY_POPS = ("POP_", "STORE_", "DELETE_", "LIST_", "SET_", "MAP_", "DICT_", "END_")
_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_LOADS = frozenset({"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_AND_CLEAR", "LOAD_FAST_BORROW", "LOAD_DEREF"})
_CLASS_LOADS = frozenset({"LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_STORES = frozenset({"STORE_FAST", "STORE_DEREF", "STORE_NAME"})
MANY = 1000
"""So many arguments, where their number is not known."""

# Python 3.13 turned the order of a callable and the NULL beside it.
_NULL_BELOW = sys.version_info < (3, 13)


class Handler(NamedTuple):
    """A line of the exception table: errors from ``start`` to before ``end`` go to ``target``."""

    start: int
    end: int
    target: int
    depth: int


def parameters(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[:count]


@dataclass(slots=True)
class Scope:
    """What names mean inside one code object."""

    lookup: Callable[[str], Thing]
    package: str
    variables: dict[str, Thing] = field(default_factory=dict)

    def inner(self, code: CodeType) -> Scope:
        free = {name: self.variables[name] for name in code.co_freevars if name in self.variables}
        return Scope(self.lookup, self.package, free | dict.fromkeys(parameters(code), UNKNOWN))


@dataclass(slots=True)
class Report:
    """Where the walk hands over what it meets; the scan decides what it means."""

    mentioned: Callable[[Thing, int], None]  # a thing and the line
    called: Callable[[Thing, int, frozenset[str], int], None]  # a thing, how many arguments, the named ones, the line
    result: Callable[[Thing], Thing]  # what calling a thing gives
    opens_unsafe: Callable[[Thing], bool]


def walk(code: CodeType, scope: Scope, report: Report) -> None:
    """Report everything known that ``code``, and the functions and classes nested in it, mention and call."""
    instructions = list(dis.get_instructions(code))
    handlers = _handlers(code)
    learned = _Walk(scope, report, handlers, frozenset(), code.co_consts)
    learned.run(instructions)
    unsafe = frozenset(_guarded_offsets(instructions, handlers, learned.unsafe_targets))
    _Walk(scope, report, handlers, unsafe, code.co_consts, firm=True).run(instructions)


def _handlers(code: CodeType) -> list[Handler]:
    entries: list[Any] = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
    return [Handler(entry.start, entry.end, entry.target, entry.depth + entry.lasti) for entry in entries]


def _guarded_offsets(instructions: list[dis.Instruction], handlers: list[Handler], targets: set[int]) -> Iterator[int]:
    """The offsets whose errors, through however many handlers in between, arrive at one of ``targets``.

    That is what being inside a ``with`` block means in bytecode, wherever the compiler has put the instructions.
    """
    for instruction in instructions if targets else ():
        offset = instruction.offset
        for _ in range(64):
            handler = next((line for line in handlers if line.start <= offset < line.end), None)
            if handler is None:
                break
            if handler.target in targets:
                yield instruction.offset
                break
            offset = handler.target


class _Walk:
    def __init__(
        self,
        scope: Scope,
        report: Report,
        handlers: list[Handler],
        unsafe: frozenset[int],
        constants: tuple[Any, ...],
        *,
        firm: bool = False,
    ) -> None:
        self.scope = scope
        self.report = report
        self.handlers = handlers
        self.unsafe = unsafe
        self.constants = constants
        self.firm = firm  # the local names are learned: report, and look into nested code
        self.unsafe_targets: set[int] = set()
        self.stack: list[Thing] = []
        self.line = 0
        self.offset = 0
        self.keywords: frozenset[str] = frozenset()  # the names of the next call's arguments

    def run(self, instructions: list[dis.Instruction]) -> None:
        arriving: dict[int, list[Thing]] = {
            handler.target: [UNKNOWN] * (handler.depth + 1) for handler in self.handlers
        }
        reachable = True
        for instruction in instructions:
            if instruction.offset in arriving:
                self.stack = arriving.pop(instruction.offset)
            elif not reachable:
                self.stack = []
            reachable = True
            self.offset = instruction.offset
            if instruction.positions is not None and instruction.positions.lineno:
                self.line = instruction.positions.lineno
            if instruction.opcode in _JUMPS and instruction.argval > instruction.offset:
                arriving.setdefault(instruction.argval, self._after(instruction, jump=True))
            self._step(instruction)
            reachable = not (instruction.opname in _ENDS or instruction.opname.startswith("JUMP_"))

    def _step(self, instruction: dis.Instruction) -> None:
        name = instruction.opname
        if name in _NEUTRAL or name.startswith("JUMP_"):
            return
        rule: Callable[[_Walk, dis.Instruction], None] | None = _RULES.get(name)
        if rule is not None:
            rule(self, instruction)
        else:
            self.stack = self._after(instruction, jump=False)

    def _after(self, instruction: dis.Instruction, *, jump: bool) -> list[Thing]:
        """The stack after an instruction without a rule: right in depth, ignorant of what it produced."""
        arg = instruction.arg if instruction.opcode >= dis.HAVE_ARGUMENT else None
        effect = dis.stack_effect(instruction.opcode, arg, jump=jump)
        stack = self.stack[: len(self.stack) + effect] if effect < 0 else self.stack + [UNKNOWN] * effect
        if stack and not instruction.opname.startswith(_ONLY_POPS):
            stack = [*stack[:-1], UNKNOWN]
        return stack

    def pop(self) -> Thing:
        return self.stack.pop() if self.stack else UNKNOWN

    def mention(self, thing: Thing) -> None:
        if self.firm and thing is not UNKNOWN and self.offset not in self.unsafe:
            self.report.mentioned(thing, self.line)

    def load(self, thing: Thing, instruction: dis.Instruction, popped: int) -> None:
        """Push a thing and the placeholder that some loads push beside it: the NULL of a call, a self."""
        pushed = dis.stack_effect(instruction.opcode, instruction.arg) + popped
        self.mention(thing)
        if pushed == 1:
            self.stack.append(thing)
        else:
            self.stack += (UNKNOWN, thing) if _NULL_BELOW else (thing, UNKNOWN)

    def load_global(self, instruction: dis.Instruction) -> None:
        popped = 1 if instruction.opname == "LOAD_FROM_DICT_OR_GLOBALS" else 0
        if popped:
            self.pop()
        name = instruction.argval
        local = self.scope.variables.get(name) if instruction.opname != "LOAD_GLOBAL" else None
        self.load(local if local is not None else self.scope.lookup(name), instruction, popped)

    def load_variable(self, instruction: dis.Instruction) -> None:
        if instruction.opname == "LOAD_FROM_DICT_OR_DEREF":
            self.pop()
        self._push_variable(instruction.argval)

    def load_two(self, instruction: dis.Instruction) -> None:
        for name in instruction.argval:
            self._push_variable(name)

    def _push_variable(self, name: str) -> None:
        thing = self.scope.variables.get(name, UNKNOWN)
        self.mention(thing)
        self.stack.append(thing)

    def load_attribute(self, instruction: dis.Instruction) -> None:
        self.load(attribute(self.pop(), instruction.argval), instruction, 1)

    def load_constant(self, instruction: dis.Instruction) -> None:
        constant = instruction.argval
        if isinstance(constant, CodeType) and self.firm and self.offset not in self.unsafe:
            walk(constant, self.scope.inner(constant), self.report)
        known = isinstance(constant, (int, tuple)) or constant is None
        self.stack.append(Thing(held=constant) if known else UNKNOWN)

    def store(self, instruction: dis.Instruction) -> None:
        self._assign(instruction.argval, self.pop())

    def store_two(self, instruction: dis.Instruction) -> None:
        for name in instruction.argval:
            self._assign(name, self.pop())

    def store_and_load(self, instruction: dis.Instruction) -> None:
        stored, loaded = instruction.argval
        self._assign(stored, self.pop())
        self._push_variable(loaded)

    def _assign(self, name: str, thing: Thing) -> None:
        if self.firm:
            return
        before = self.scope.variables.get(name)
        self.scope.variables[name] = thing if before is None or before.same_as(thing) else UNKNOWN

    def copy(self, instruction: dis.Instruction) -> None:
        index = instruction.argval or 1
        self.stack.append(self.stack[-index] if index <= len(self.stack) else UNKNOWN)

    def swap(self, instruction: dis.Instruction) -> None:
        index = instruction.argval
        if index <= len(self.stack):
            self.stack[-1], self.stack[-index] = self.stack[-index], self.stack[-1]

    def combine(self, instruction: dis.Instruction) -> None:
        """A path divided by something is a path; of other operators nothing is known."""
        self.pop()
        left = self.pop()
        self.stack.append(left if left.of is not None and issubclass(left.of, PurePath) else UNKNOWN)

    def import_name(self, instruction: dis.Instruction) -> None:
        wanted, level = self.pop(), self.pop().held
        name = instruction.argval
        if not isinstance(level, int):
            self.stack.append(UNKNOWN)
            return
        if level > 0:
            parents = self.scope.package.split(".")
            parents = parents[: len(parents) - level + 1]
            name = ".".join([*parents, name] if name else parents)
        self.stack.append(imported(name, whole=isinstance(wanted.held, tuple)))

    def import_from(self, instruction: dis.Instruction) -> None:
        # Not a mention yet: the finding is where the name is used.
        self.stack.append(attribute(self.stack[-1], instruction.argval) if self.stack else UNKNOWN)

    def name_arguments(self, instruction: dis.Instruction) -> None:
        self.keywords = frozenset(self.constants[instruction.arg or 0])

    def call(self, instruction: dis.Instruction) -> None:
        count = instruction.argval
        if instruction.opname == "CALL_KW":
            names = self.pop().held
            self.keywords = frozenset(names) if isinstance(names, tuple) else frozenset()
        self._call(count, popped=count)

    def call_spread(self, instruction: dis.Instruction) -> None:
        self._call(None, popped=1 + (instruction.argval & 1))

    def _call(self, count: int | None, popped: int) -> None:
        """Take arguments, callable and its placeholder off the stack. An unknown number of arguments counts as many."""
        keywords, self.keywords = self.keywords, frozenset()
        for _ in range(popped):
            self.pop()
        slots = self.pop(), self.pop()
        thing = next((slot for slot in slots if slot is not UNKNOWN), UNKNOWN)
        if thing is UNKNOWN or self.offset in self.unsafe:
            self.stack.append(UNKNOWN)
            return
        if self.report.opens_unsafe(thing):
            self._note_unsafe_block()
        if self.firm:
            self.report.called(thing, MANY if count is None else count, keywords, self.line)
        self.stack.append(self.report.result(thing))

    def _note_unsafe_block(self) -> None:
        """The block of `with unsafe():` is the first one protected by a handler after the call."""
        later = [handler for handler in self.handlers if handler.start > self.offset]
        if later:
            self.unsafe_targets.add(min(later, key=lambda handler: handler.start).target)


_RULES: Mapping[str, Callable[[_Walk, dis.Instruction], None]] = {
    **dict.fromkeys(_GLOBALS, _Walk.load_global),
    **dict.fromkeys(_LOADS | _CLASS_LOADS, _Walk.load_variable),
    **dict.fromkeys(_STORES, _Walk.store),
    "LOAD_FAST_LOAD_FAST": _Walk.load_two,
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": _Walk.load_two,
    "STORE_FAST_STORE_FAST": _Walk.store_two,
    "STORE_FAST_LOAD_FAST": _Walk.store_and_load,
    "LOAD_ATTR": _Walk.load_attribute,
    "LOAD_METHOD": _Walk.load_attribute,
    "LOAD_CONST": _Walk.load_constant,
    "LOAD_SMALL_INT": _Walk.load_constant,
    "BINARY_OP": _Walk.combine,
    "COPY": _Walk.copy,
    "SWAP": _Walk.swap,
    "IMPORT_NAME": _Walk.import_name,
    "IMPORT_FROM": _Walk.import_from,
    "KW_NAMES": _Walk.name_arguments,
    "CALL": _Walk.call,
    "CALL_KW": _Walk.call,
    "CALL_FUNCTION_EX": _Walk.call_spread,
}
