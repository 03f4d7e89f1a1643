// Asks for an API key in a dialog.

/** Resolves to the key, or null when the user gives up. */
export function askForKey(find, reason) {
  const dialog = find("key-dialog");
  const input = find("key");
  if (reason) find("key-reason").textContent = `That key was refused: ${reason}`;
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    const cancel = () => dialog.close("");
    find("key-cancel").onclick = cancel;
    find("key-form").onsubmit = () => {
      dialog.returnValue = "given";
    };
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue ? input.value.trim() || null : null),
      { once: true },
    );
  });
}
