"""RecurrentNetwork: the base of custom models with memory."""

from __future__ import annotations

from typing import Any

from .fcnet import LSTMNetwork as LSTMWrapper
from .torch_modelv2 import TorchModelV2

__all__ = ["LSTMWrapper", "RecurrentNetwork"]


class RecurrentNetwork(TorchModelV2):
    """forward_rnn(inputs [sequences, time, size], state, seq_lens) -> (outputs [sequences, time, num_outputs], state)
    is what a subclass defines, with get_initial_state() and value_function()."""

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        flat = input_dict["obs_flat"].float()
        sequences = flat.reshape(state[0].shape[0], -1, flat.shape[-1])
        outputs, state_out = self.forward_rnn(sequences, state, seq_lens)
        return outputs.reshape(-1, self.num_outputs), state_out

    def forward_rnn(self, inputs: Any, state: Any, seq_lens: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward_rnn()")
