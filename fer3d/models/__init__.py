"""Networks as plain `torch.nn.Module`s, without Lightning or Hydra."""
