"""MODEL_DEFAULTS: every key of `config["model"]`. Unknown keys are an error, except inside `custom_model_config`."""

from __future__ import annotations

from typing import Any

__all__ = ["MODEL_DEFAULTS", "MODEL_IGNORED", "MODEL_NAMES", "UNAVAILABLE"]

MODEL_DEFAULTS: dict[str, Any] = {
    # Fully connected nets: sizes of the hidden layers, and their activation (tanh, relu, swish, elu,
    # gelu, sigmoid, linear).
    "fcnet_hiddens": [256, 256],
    "fcnet_activation": "tanh",
    "fcnet_weights_initializer": None,
    "fcnet_weights_initializer_config": None,
    "fcnet_bias_initializer": None,
    "fcnet_bias_initializer_config": None,
    # Layer norm between the layers and their activations (and in post_fcnet_hiddens: head_...).
    "fcnet_use_layernorm": False,
    "head_fcnet_use_layernorm": False,
    # Images: [[channels, kernel, stride], ...]; None: by the size of the image.
    "conv_filters": None,
    "conv_activation": "relu",
    "conv_kernel_initializer": None,
    "conv_kernel_initializer_config": None,
    "conv_bias_initializer": None,
    "conv_bias_initializer_config": None,
    "post_fcnet_hiddens": [],
    "post_fcnet_activation": "relu",
    "post_fcnet_weights_initializer": None,
    "post_fcnet_weights_initializer_config": None,
    "post_fcnet_bias_initializer": None,
    "post_fcnet_bias_initializer_config": None,
    # Continuous actions: log standard deviations as free parameters instead of outputs of the net.
    "free_log_std": False,
    "log_std_clip_param": 20.0,
    "no_final_linear": False,
    # One trunk for policy and value function. PPO's default is separate nets.
    "vf_share_layers": True,
    "use_lstm": False,
    "max_seq_len": 20,
    "lstm_cell_size": 256,
    "lstm_use_prev_action": False,
    "lstm_use_prev_reward": False,
    "lstm_use_prev_action_reward": False,
    "lstm_weights_initializer": None,
    "lstm_weights_initializer_config": None,
    "lstm_bias_initializer": None,
    "lstm_bias_initializer_config": None,
    "_time_major": False,
    "use_attention": False,
    "attention_num_transformer_units": 1,
    "attention_dim": 64,
    "attention_num_heads": 1,
    "attention_head_dim": 32,
    "attention_memory_inference": 50,
    "attention_memory_training": 50,
    "attention_position_wise_mlp_dim": 32,
    "attention_init_gru_gate_bias": 2.0,
    "attention_use_n_prev_actions": 0,
    "attention_use_n_prev_rewards": 0,
    # Atari, as DeepMind's: size, grey or coloured, values around zero, four frames stacked.
    "framestack": True,
    "dim": 84,
    "grayscale": False,
    "zero_mean": True,
    # What users register with ModelCatalog, by name or as a class.
    "custom_model": None,
    "custom_model_config": {},
    "custom_action_dist": None,
    "custom_preprocessor": None,
    "encoder_latent_dim": None,
    "always_check_shapes": False,
    "_disable_preprocessor_api": False,
    "_disable_action_flattening": False,
    "_use_default_native_models": True,
}

# What Ray's newest stack calls some of them.
MODEL_NAMES = {
    "fcnet_kernel_initializer": "fcnet_weights_initializer",
    "fcnet_kernel_initializer_kwargs": "fcnet_weights_initializer_config",
    "fcnet_bias_initializer_kwargs": "fcnet_bias_initializer_config",
    "conv_kernel_initializer_kwargs": "conv_kernel_initializer_config",
    "conv_bias_initializer_kwargs": "conv_bias_initializer_config",
    "head_fcnet_hiddens": "post_fcnet_hiddens",
    "head_fcnet_activation": "post_fcnet_activation",
    "head_fcnet_kernel_initializer": "post_fcnet_weights_initializer",
    "head_fcnet_kernel_initializer_kwargs": "post_fcnet_weights_initializer_config",
    "head_fcnet_bias_initializer": "post_fcnet_bias_initializer",
    "head_fcnet_bias_initializer_kwargs": "post_fcnet_bias_initializer_config",
    "lstm_kernel_initializer": "lstm_weights_initializer",
    "lstm_kernel_initializer_kwargs": "lstm_weights_initializer_config",
    "lstm_bias_initializer_kwargs": "lstm_bias_initializer_config",
}

# Keys that raise NotImplementedError when they are set.
UNAVAILABLE = ("encoder_latent_dim",)

# Keys without effect, and the values that wish for nothing.
MODEL_IGNORED: dict[str, tuple[Any, ...]] = {
    "_time_major": (False,),
    "attention_memory_training": (50,),
    "always_check_shapes": (False,),
    "_disable_preprocessor_api": (False,),
    "_disable_action_flattening": (False,),
    "_use_default_native_models": (True, -1),
}
