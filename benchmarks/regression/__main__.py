"""Records the current ratios: `python -m benchmarks.regression`.

Each ratio is taken three times, and its median is recorded.
"""

from statistics import median

from benchmarks.programs.ours import client_environment, made_environments
from benchmarks.regression.ratios import client_import, scheduling, servers
from benchmarks.regression.recorded import ATTEMPTS, FILE, as_toml

if __name__ == "__main__":
    with made_environments(), servers() as of_servers:
        ratios = {**of_servers, **client_import(client_environment()), **scheduling()}
        taken = {name: median(take() for _ in range(ATTEMPTS)) for name, take in ratios.items()}
    FILE.write_text(as_toml(taken), encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"), end="")
