// One key for each verdict. Buttons and links name theirs; inside a text field keys write.
"use strict";

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("textarea, input, select");
  if (field) {
    if (event.key === "Escape") {
      field.blur();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field.form && field.form.id === "verdict") {
      event.preventDefault();
      press("s");
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) {
    return;
  }
  if (event.key === "e") {
    const answer = document.querySelector("textarea[name=answer]");
    if (answer) {
      event.preventDefault();
      answer.focus();
      answer.setSelectionRange(answer.value.length, answer.value.length);
    }
    return;
  }
  if (/^[kroupn]$/.test(event.key)) {
    press(event.key);
  }
});

function press(key) {
  const target = document.querySelector(`[data-key="${key}"]`);
  if (target) {
    target.click();
  }
}
