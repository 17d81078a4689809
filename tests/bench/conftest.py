import sys
from pathlib import Path

# Benchmarks are scripts: they find each other as Python finds modules beside a script.
sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))
