from typing import Any

class LookupModule:
    def run(self, terms: list[str], variables: Any = ..., **kwargs: Any) -> list[Any]: ...
