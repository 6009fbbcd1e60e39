"""What can be done where LoRAs are stacked."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("lora", "add", "a", "Add", "Add a LoRA; those that fit the model come first.", footer=True),
    Action("lora", "preview", "f5,ctrl+r", "Preview", "Render the model without and with the stack.", footer=True),
    Action("lora", "live", "v", "Live", "Render every change at once, or no more.", footer=True),
    Action("lora", "row", "w", "Strengths", "Show the LoRA under the cursor at a row of strengths.", footer=True),
    Action("lora", "make", "c", "Make…", "Bake, combine, resize, rename, extract, copy: all in a menu.", footer=True),
    Action("lora", "back", "escape", "Back", "Stop what runs, or go back to the stack, or leave.", footer=True),
    Action("lora", "model", "o", "Model", "Choose the model that the LoRAs are put on."),
    Action("lora", "mute", "m", "Mute", "Leave the LoRA under the cursor out, or take it in again."),
    Action("lora", "solo", "s", "Solo", "Only the LoRA under the cursor counts, or all again."),
    Action("lora", "take_out", "x,delete", "Take out", "Take the LoRA under the cursor out of the stack."),
    Action("lora", "move_up", "shift+up,less_than_sign", "Move up", "Bake this LoRA in earlier.", run="move(-1)"),
    Action("lora", "move_down", "shift+down,greater_than_sign", "Move down", "Bake it in later.", run="move(1)"),
    Action("lora", "side", "e", "Text encoder", "Arrows change the strength in the text encoders, or in the U-Net."),
    Action("lora", "link", "equals_sign", "Same", "The same strength in the text encoders as in the U-Net."),
    Action("lora", "blocks", "b", "Blocks", "Block weights of the LoRA under the cursor: a preset, or words."),
    Action("lora", "words", "t", "Trigger words", "Put the trigger words of the stack into the prompt, once each."),
    Action("lora", "prompt", "p", "Prompt", "Type the prompt."),
    Action("lora", "evidence", "i", "Evidence", "Read why the LoRA under the cursor fits or not; so does enter."),
    Action("lora", "fits", "f", "Matrix", "All LoRAs of the stack beside all models of the library."),
    Action("lora", "bake", "ctrl+s", "Bake", "Write the model with the stack baked in to a new file."),
    Action("lora", "combine", "plus", "Combine", "Write the stack as one LoRA."),
    Action("lora", "resize", "r", "Resize", "Give the LoRA under the cursor fewer ranks."),
    Action("lora", "rename", "n", "Rename", "Write it under the names of kohya or of diffusers."),
    Action("lora", "extract", "d", "Extract", "Make a LoRA of the difference of two models."),
    Action("lora", "copy", "y", "Copy tags", "Copy the stack as tags of a prompt: <lora:name:0.8>."),
)  # fmt: skip
