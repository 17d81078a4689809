"""placeholder"""
from .batching import Batcher
from .hashing import HashingEncoder
def choose(settings, api_key, report):
    return Batcher(HashingEncoder)
