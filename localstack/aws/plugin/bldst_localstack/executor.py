"""LAMBDA_RUNTIME_EXECUTOR=process: functions as child processes."""

import json
import os
import subprocess
import threading
import time
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from . import LOOPBACK
from .runtime_api import Invocation, RuntimeApi

START_SECONDS = 10  # that AWS gives a function to ask for its first invocation


class ProcessExecutor(RuntimeExecutor):
    """One environment of a function: a process that takes one call at a time."""

    def __init__(self, id, function_version):
        super().__init__(id, function_version)
        self._api = None
        self._process = None
        self._environment = {}
        self._lines = []

    # What LocalStack calls.

    def start(self, env_vars):
        self._environment = {name: str(value) for name, value in env_vars.items()}
        self._api = RuntimeApi()
        self._spawn()

    def stop(self):
        self._kill()
        if self._api:
            self._api.close()

    def invoke(self, payload):
        if self._process.poll() is not None:
            self._spawn()
        begun = time.time()
        limit = float(self.function_version.config.timeout)
        call = Invocation(
            id=payload["invoke-id"], payload=payload["payload"].encode(), arn=payload["invoked-function-arn"],
            trace=payload["trace-id"], deadline=begun + limit)
        self._lines = [f"START RequestId: {call.id} Version: {self.function_version.id.qualifier}\n"]
        self._api.submit(call)
        body, failed = self._wait(call, limit)
        self._api.forget(call)
        took = (time.time() - begun) * 1000
        self._lines.append(f"END RequestId: {call.id}\nREPORT RequestId: {call.id}\tDuration: {took:.2f} ms\n")
        return InvocationResult(call.id, body, is_error=failed, logs=self.get_logs())

    def get_logs(self):
        return "".join(self._lines)

    def get_address(self):
        return LOOPBACK

    def get_endpoint_from_executor(self):
        return LOOPBACK

    def get_runtime_endpoint(self):
        return f"http://{LOOPBACK}:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @classmethod
    def prepare_version(cls, function_version):
        code = function_version.config.code
        code.prepare_for_execution()
        bootstrap = Path(code.get_unzipped_code_location()) / "bootstrap"
        if bootstrap.exists():
            bootstrap.chmod(0o755)

    @classmethod
    def cleanup_version(cls, function_version):
        function_version.config.code.destroy_cached()

    # The process.

    def _spawn(self):
        self._api.reset()
        # A version whose code this one shares may have taken it away when it ended.
        self.prepare_version(self.function_version)
        folder = str(self.function_version.config.code.get_unzipped_code_location())
        self._process = subprocess.Popen(
            [f"{folder}/bootstrap"], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._environment | {"PATH": os.environ.get("PATH", ""), "AWS_LAMBDA_RUNTIME_API": self._api.address, "LAMBDA_TASK_ROOT": folder})
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        give_up = time.time() + START_SECONDS
        while not self._api.asked.wait(0.005):
            if self._process.poll() is not None or time.time() > give_up:
                raise RuntimeError(f"the bootstrap did not ask for work (exit code {self._process.poll()}): {self.get_logs()}")
        if self._api.init_error is not None:
            raise RuntimeError(f"the bootstrap failed to start: {self._api.init_error!r}")

    def _read(self, process):
        for line in process.stdout:
            self._lines.append(line)

    def _kill(self):
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            self._api.release()

    def _wait(self, call, limit):
        """Returns the body of the answer and whether it is an error."""
        while True:
            ended = self._process.poll()
            try:
                return call.answer.result(timeout=0 if ended is not None else 0.05)
            except NotYet:
                if ended is not None:
                    return _error(f"RequestId: {call.id} Error: Runtime exited with error: exit status {ended}", "Runtime.ExitError"), True
                if time.time() > call.deadline:
                    self._kill()
                    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                    return _error(f"{at} {call.id} Task timed out after {limit:.2f} seconds"), True


def _error(message, kind=None):
    return json.dumps({"errorMessage": message} | ({"errorType": kind} if kind else {})).encode()


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args, **kwargs):
        return ProcessExecutor
