# The part of ansible.module_utils.basic that Lyceum's modules use; ansible-core ships no types.
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

class AnsibleModule:
    params: dict[str, Any]
    check_mode: bool
    _diff: bool
    tmpdir: str
    def __init__(
        self,
        argument_spec: Mapping[str, Mapping[str, Any]],
        *,
        supports_check_mode: bool = ...,
        required_if: Sequence[tuple[str, Any, Sequence[str]]] = ...,
        required_one_of: Sequence[Sequence[str]] = ...,
        required_together: Sequence[Sequence[str]] = ...,
        required_by: Mapping[str, Sequence[str]] = ...,
        mutually_exclusive: Sequence[Sequence[str]] = ...,
    ) -> None: ...
    def exit_json(self, **kwargs: Any) -> NoReturn: ...
    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn: ...
    def warn(self, warning: str) -> None: ...
    def get_bin_path(self, arg: str, required: bool = ..., opt_dirs: Sequence[str] | None = ...) -> str | None: ...
    def run_command(
        self,
        args: Sequence[str],
        *,
        check_rc: bool = ...,
        data: str | None = ...,
        environ_update: Mapping[str, str] = ...,
    ) -> tuple[int, str, str]: ...
