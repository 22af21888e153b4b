"""Departures of LocalStack 4.14.0 from AWS, and naps, mended; BLDST_FIXES=0 leaves them."""

import os
import shutil
from pathlib import Path

from localstack.runtime import hooks


@hooks.on_infra_start(priority=100)
def apply():
    if os.environ.get("BLDST_FIXES", "1") != "0":
        _answers_during_dispatch()
        _stop_wakes_waits()
        _deploy_without_naps()
    if folder := os.environ.get("DYNAMODB_LOCAL_JARS"):
        _dynamodb_local(folder)


def _answers_during_dispatch():
    """With HeartbeatSeconds, an answer that came while the dispatching function
    still ran was lost, and a beat was refused."""
    from localstack.services.stepfunctions.asl.eval.callback.callback import CallbackEndpoint

    set_up, beat = CallbackEndpoint.setup_heartbeat_endpoint, CallbackEndpoint.notify_heartbeat

    def set_up_and_look(self, heartbeat_seconds):
        endpoint = set_up(self, heartbeat_seconds)
        if self._outcome is not None:
            endpoint.notify()
        return endpoint

    CallbackEndpoint.setup_heartbeat_endpoint = set_up_and_look
    CallbackEndpoint.notify_heartbeat = lambda self: beat(self) or True


def _stop_wakes_waits():
    """StopExecution left an execution that waits for a token running until its
    timeout."""
    from localstack.services.stepfunctions.asl.eval.environment import Environment
    from localstack.services.stepfunctions.asl.eval.program_state import ProgramStopped
    from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker

    stop, set_error = ExecutionWorker.stop, Environment.set_error

    def stop_and_wake(self, stop_date, error, cause):
        stop(self, stop_date=stop_date, error=error, cause=cause)
        for endpoint in list(self.env.callback_pool_manager._pool.values()):
            endpoint.interrupt_all()

    def keep_stopped(self, error):
        if not isinstance(self._program_state, ProgramStopped):
            set_error(self, error)

    ExecutionWorker.stop = stop_and_wake
    Environment.set_error = keep_stopped


def _deploy_without_naps():
    """CloudFormation slept a second for every function that it made."""
    from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor

    loop = ResourceProviderExecutor.deploy_loop
    limit, _nap = loop.__defaults__
    loop.__defaults__ = (limit, 0.05)


def _dynamodb_local(folder):
    """DynamoDB Local from jars that Maven has fetched, with the Java that is
    here, in place of downloads; on this machine only."""
    from localstack.services.dynamodb.packages import DynamoDBLocalPackageInstaller
    from localstack.services.dynamodb.server import DynamodbServer

    main = os.environ["DYNAMODB_LOCAL_MAIN"]
    java = Path(os.path.realpath(shutil.which("java")))
    DynamoDBLocalPackageInstaller.install = lambda self, target=None: None
    DynamoDBLocalPackageInstaller.get_installed_dir = lambda self: folder
    DynamoDBLocalPackageInstaller.get_java_env_vars = lambda self: {"JAVA_HOME": str(java.parent.parent)}
    stock = DynamodbServer._create_shell_command

    def command(self):
        words = stock(self)
        arguments = words[words.index("-jar") + 2:]
        return [str(java), f"-Xmx{self.heap_size}", f"-Djava.library.path={folder}", "-cp", f"{folder}/*", main, *arguments, "-disableTelemetry"]

    DynamodbServer._create_shell_command = command
