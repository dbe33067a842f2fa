"""Keepstep: durable execution for Python. Multi-step processes run to their end, whatever crashes."""

from keepstep.client.blocking.engine import BlockingEngine
from keepstep.client.blocking.handle import BlockingRunHandle
from keepstep.client.bulk import BulkOutcome, BulkProgress, BulkReport
from keepstep.client.engine import Engine
from keepstep.client.handle import RunHandle
from keepstep.client.info import HistoryEvent, RunInfo
from keepstep.client.paging import RunPage
from keepstep.client.streaming import StreamValue
from keepstep.journal import (
    AccessDenied,
    AlreadyStarted,
    AttributeRefused,
    Conflict,
    Connection,
    Error,
    InvalidInput,
    NotFound,
    Overloaded,
    RunClosed,
    SchemaTooNew,
    StatementRefused,
    StoreUnavailable,
    TooLarge,
    TransactionTooLong,
    Unsupported,
)
from keepstep.queues.declaration import queue
from keepstep.runtime.ambient import (
    all_handlers_finished,
    info,
    is_replaying,
    now,
    random,
    set_attributes,
    set_status,
    uuid4,
)
from keepstep.runtime.by_name import step_by_name, workflow_by_name
from keepstep.runtime.callback import Callback, callback
from keepstep.runtime.child import ChildHandle, start_child
from keepstep.runtime.continuing import continue_as_new
from keepstep.runtime.data import Retry, converter, upcast
from keepstep.runtime.errors import (
    Blocked,
    Cancelled,
    NoWorker,
    QueryFailed,
    RetryLater,
    StepFailed,
    Terminated,
    TimedOut,
    Uncertain,
    UpdateFailed,
    UpdateRejected,
    WorkflowFailed,
)
from keepstep.runtime.guard import Nondeterminism, unsafe
from keepstep.runtime.handler import Query, Signal, Update, query, signal, update
from keepstep.runtime.human_task import HumanTask, human_task
from keepstep.runtime.interceptor import Calling, Executing, Interceptor, Running, Sending, StartingChild
from keepstep.runtime.marker import deprecate_patch, patched, version
from keepstep.runtime.note import note
from keepstep.runtime.relative import OtherRun, get_run
from keepstep.runtime.saga import Outcome, Saga, saga
from keepstep.runtime.step import Step, step
from keepstep.runtime.waiting import receive, sleep, wait_for
from keepstep.runtime.workflow import Workflow, workflow
from keepstep.search import FilterError
from keepstep.telemetry.logger import logger
from keepstep.worker.attempt import StepInfo, heartbeat, step_info
from keepstep.worker.speaking import Written, close_stream, write_stream

__all__ = [
    "AccessDenied",
    "AlreadyStarted",
    "AttributeRefused",
    "Blocked",
    "BlockingEngine",
    "BlockingRunHandle",
    "BulkOutcome",
    "BulkProgress",
    "BulkReport",
    "Callback",
    "Calling",
    "Cancelled",
    "ChildHandle",
    "Conflict",
    "Connection",
    "Engine",
    "Error",
    "Executing",
    "FilterError",
    "HistoryEvent",
    "HumanTask",
    "Interceptor",
    "InvalidInput",
    "NoWorker",
    "Nondeterminism",
    "NotFound",
    "OtherRun",
    "Outcome",
    "Overloaded",
    "Query",
    "QueryFailed",
    "Retry",
    "RetryLater",
    "RunClosed",
    "RunHandle",
    "RunInfo",
    "RunPage",
    "Running",
    "Saga",
    "SchemaTooNew",
    "Sending",
    "Signal",
    "StartingChild",
    "StatementRefused",
    "Step",
    "StepFailed",
    "StepInfo",
    "StoreUnavailable",
    "StreamValue",
    "Terminated",
    "TimedOut",
    "TooLarge",
    "TransactionTooLong",
    "Uncertain",
    "Unsupported",
    "Update",
    "UpdateFailed",
    "UpdateRejected",
    "Workflow",
    "WorkflowFailed",
    "Written",
    "all_handlers_finished",
    "callback",
    "close_stream",
    "continue_as_new",
    "converter",
    "deprecate_patch",
    "get_run",
    "heartbeat",
    "human_task",
    "info",
    "is_replaying",
    "logger",
    "note",
    "now",
    "patched",
    "query",
    "queue",
    "random",
    "receive",
    "saga",
    "set_attributes",
    "set_status",
    "signal",
    "sleep",
    "start_child",
    "step",
    "step_by_name",
    "step_info",
    "unsafe",
    "upcast",
    "update",
    "uuid4",
    "version",
    "wait_for",
    "workflow",
    "workflow_by_name",
    "write_stream",
]
