"""RLModules of PyTorch."""
