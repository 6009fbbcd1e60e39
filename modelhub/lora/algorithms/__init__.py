"""What each kind of adapter adds to a weight: one class per algorithm, with its formula and source.

At strength m, m times the change is added: W' = W + m · ΔW, for those that depend on the weight as for the others.

| name | file | ΔW at strength 1 (s = alpha / rank, Q skew) | source |
|---|---|---|---|
| `lora` | low_rank | s · up @ down, also for convolutions and embeddings | Hu 2021, arXiv:2106.09685 |
| with `mid` | low_rank | s · up @ core(mid, down), Tucker form | Yeh 2023, arXiv:2309.14859 |
| `loha` | hadamard | s · (w1a @ w1b) ∘ (w2a @ w2b), with t1, t2 of Tucker forms | Hyeon-Woo 2021, arXiv:2108.06098 |
| `lokr` | kronecker | s · w1 ⊗ w2, each whole or a product; s = 1 if both are whole | Yeh 2023, arXiv:2309.14859 |
| `glora` | general | s · (W A + B), A and B products | Chavan 2023, arXiv:2306.07967 |
| `ia3` | scaled | W ∘ w, for inputs or outputs | Liu 2022, arXiv:2205.05638 |
| `oft` | rotation | Rᵀ W − W or W Rᵀ − W by blocks, R from Q by Cayley's map | Qiu 2023, arXiv:2306.07280 |
| `oft`, 4-dim | butterfly | the same in stages (BOFT) | Liu 2023, arXiv:2311.06243 |
| `diff` | full | the difference itself, or what a weight is set to, less it | LyCORIS, ComfyUI |
| `norm` | full | differences of a norm's weight and bias | LyCORIS |
| with `dora` | dora | V · d / ‖V‖ − W for V = W + ΔW, by rows or columns | Liu 2024, arXiv:2402.09353 |
"""
