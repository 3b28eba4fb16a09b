"""Records the ratios as they are now.

Take each ratio three times and record its median: `python -m benchmarks.regression`.
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
