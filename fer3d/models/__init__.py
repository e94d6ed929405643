"""Networks as plain `torch.nn.Module`s; they know neither Lightning nor Hydra."""
