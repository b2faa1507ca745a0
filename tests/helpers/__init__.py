"""Helpers of several test folders. Importing them makes a process one of the tests: offline, float32, one thread."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch

torch.cpu.get_capabilities = dict  # "auto" is float32 on every machine: a test that wants bfloat16 says so
torch.set_num_threads(1)  # tiny models: more threads only wait for each other, the more on a busy machine
