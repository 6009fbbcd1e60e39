// Opens the terminal once its font is there: the size of its cells is measured only then, and only once.
"use strict";

const SCRIPT = "static/js/textual.js";

function terminal() {
  const element = document.getElementById("terminal");
  const size = Number(new URLSearchParams(location.search).get("fontsize"));
  element.dataset.sessionWebsocketUrl = new URL("ws", location.href.split("?")[0]).href.replace(/^http/, "ws");
  element.dataset.fontSize = size >= 6 && size <= 60 ? size : 16;
  const script = document.createElement("script");
  script.src = SCRIPT;
  script.onload = () => {
    window.onload();
    element.querySelector("textarea").focus(); // keys go to the terminal at once, without a click
  };
  document.head.append(script);
}

window.addEventListener("load", () => {
  document.getElementById("again").addEventListener("click", () => location.reload());
  const fonts = ["", "bold ", "italic "].map((style) => document.fonts.load(`${style}16px "Roboto Mono"`));
  Promise.allSettled(fonts).then(terminal);
});
