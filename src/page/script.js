'use strict';
(() => {
  const root = document.documentElement, $ = s => document.querySelector(s), $$ = s => [...document.querySelectorAll(s)];
  const theme = $('#theme');
  theme.hidden = false;
  theme.onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  };
  const tl = $('.tl'), read = $('.readout');
  if (!tl) return;
  $$('.readout, .keys').forEach(e => { e.hidden = false; });
  const d = JSON.parse($('#data').textContent), { rows, left, inner, whole } = d, NS = 'http://www.w3.org/2000/svg';
  const plots = $$('.tl .plot'), axis = $('.tl .axis'), least = Math.min(d.end, 3 * d.width);
  let a = 0, b = d.end, at = -1;
  const make = (name, attributes, parent) => {
    const e = document.createElementNS(NS, name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    parent.append(e);
    return e;
  };
  const cursors = plots.map(p => make('path', { class: 's-ink', 'stroke-width': 1, 'vector-effect': 'non-scaling-stroke' }, p));
  const x = t => inner * (t - a) / (b - a);
  const steps = [.1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];
  const place = (from, to) => {
    [a, b] = [Math.max(0, Math.min(from, d.end - least)), Math.min(d.end, Math.max(to, least))];
    for (const p of plots) p.setAttribute('viewBox', `${inner * (a / d.end)} 0 ${inner * ((b - a) / d.end)} ${p.getAttribute('height')}`);
    for (const t of $$('.tl [data-t]')) {
      const s = +t.dataset.t, off = { start: 6, end: -6, middle: 0 }[t.getAttribute('text-anchor')];
      t.toggleAttribute('hidden', s < a || s > b);
      t.setAttribute('x', left + x(s) + off);
    }
    const step = steps.find(s => (b - a) / s <= 14) || (b - a) / 10;
    axis.textContent = '';
    for (let k = Math.ceil(a / step - 1e-9); k * step <= b + 1e-9; k++) {
      const s = k * step, e = make('text', { x: left + x(s), y: 14, 'text-anchor': 'middle', class: 't-soft' }, axis);
      e.textContent = step < 60 ? +s.toFixed(1) + ' s' : step < 3600 ? +(s / 60).toFixed(1) + ' min' : +(s / 3600).toFixed(1) + ' h';
    }
  };
  const names = [null, null, 'p50', 'p99', 'max', 'due', 'ok', 'failed', 'open', 'overdue', 'generator late p99', 'sent again'];
  const show = i => {
    at = Math.max(0, Math.min(rows.length - 1, i));
    const [t, ...texts] = rows[at], middle = inner * Math.min(t + d.width / 2, d.end) / d.end;
    cursors.forEach(c => c.setAttribute('d', `M${middle},0V400`));
    const cells = [[+t.toFixed(1) + ' s', texts[0] + (texts[1] ? ', ' + texts[1] + ' on' : '')]];
    names.forEach((name, k) => { if (name && texts[k] != null) cells.push([name, texts[k]]); });
    read.replaceChildren(...cells.map(([k, v]) => {
      const s = document.createElement('span'), e = document.createElement('b');
      e.textContent = v;
      s.append(k + ' ', e);
      return s;
    }));
  };
  const found = t => Math.floor(t / d.width + 1e-6);
  const time = e => {
    const box = tl.querySelector('.panel').getBoundingClientRect();
    return a + (b - a) * ((e.clientX - box.left) / box.width * whole - left) / inner;
  };
  let from = null;
  tl.onpointermove = e => show(found(time(e)));
  tl.onpointerdown = e => { from = e.pointerType === 'mouse' ? time(e) : null; };
  window.addEventListener('pointerup', e => {
    if (from === null) return;
    const to = time(e);
    if (Math.abs(to - from) > (b - a) / 50) place(Math.min(from, to), Math.max(from, to));
    from = null;
  });
  tl.ondblclick = () => place(0, d.end);
  const zoom = f => {
    const middle = at < 0 ? (a + b) / 2 : rows[at][0], w = Math.min(d.end, Math.max(least, (b - a) * f));
    const start = Math.max(0, Math.min(d.end - w, middle - w / 2));
    place(start, start + w);
  };
  const keys = {
    ArrowLeft: () => show(at - 1), ArrowRight: () => show(at + 1), Home: () => show(0), End: () => show(rows.length - 1),
    Escape: () => place(0, d.end), '+': () => zoom(.5), '=': () => zoom(.5), '-': () => zoom(2),
    n: () => {
      const now = at < 0 ? -1 : rows[at][0] + d.width, next = d.faults.find(f => f >= now) ?? d.faults[0];
      if (next != null) show(found(next));
    },
  };
  tl.onkeydown = e => {
    if (e.ctrlKey || e.metaKey || e.altKey || !keys[e.key]) return;
    keys[e.key]();
    const s = rows[at]?.[0];
    if (s != null && e.key !== 'Escape' && (s < a || s > b)) place(s - (b - a) / 2, s + (b - a) / 2);
    e.preventDefault();
  };
})();
