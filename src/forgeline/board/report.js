// Long lists show their first items and a button for the rest; without scripts everything is shown.
for (const list of document.querySelectorAll("[data-first]")) {
  const rest = [...list.children].slice(Number(list.dataset.first));
  if (rest.length < 3) continue;
  const hide = (hidden) => rest.forEach((item) => (item.hidden = hidden));
  const button = document.createElement("button");
  button.className = "rest";
  button.textContent = `and ${rest.length.toLocaleString("en")} more`;
  button.onclick = () => (hide(false), button.remove());
  (list.closest(".scroll") ?? list).after(button);
  hide(true);
  addEventListener("beforeprint", () => button.click());
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));

// The table of contents marks the section that is being read.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const mark = (entries) =>
  entries.forEach((entry) => links.get(entry.target.id)?.classList.toggle("here", entry.isIntersecting));
const watch = new IntersectionObserver(mark, { rootMargin: "-20% 0px -75% 0px" });
document.querySelectorAll("main > [id]").forEach((section) => watch.observe(section));
