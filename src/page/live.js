'use strict';
(() => {
  const bar = document.getElementById('live'), stream = new EventSource('/events');
  let renewed = Date.now();
  const renew = async () => {
    const text = await (await fetch('/')).text(), y = scrollY;
    const main = new DOMParser().parseFromString(text, 'text/html').getElementById('main');
    if (main) document.getElementById('main').replaceWith(main);
    scrollTo(0, y);
  };
  // Who has the token in the address switches faults.
  const token = location.hash.slice(1), buttons = new Map();
  const board = document.createElement('p'), said = document.createElement('span');
  said.setAttribute('role', 'status');
  board.append(said);
  const order = async body => {
    const headers = { authorization: 'Bearer ' + token };
    const told = await (await fetch('/orders', { method: 'POST', headers, body: JSON.stringify(body) })).json();
    if (told.said) said.textContent = told.said;
    for (const { name, kind, on } of told.faults) {
      const button = buttons.get(name) ?? document.createElement('button');
      if (!buttons.has(name)) said.before(button, ' ');
      buttons.set(name, button);
      button.textContent = `${name} (${kind}): switch ${on ? 'off' : 'on'}`;
      button.onclick = () => ask({ operation: on ? 'stop' : 'start', fault: name });
    }
  };
  const ask = body => order(body).catch(() => { said.textContent = 'the run is not heard of any more'; });
  const steers = /^[0-9a-f]{16}$/.test(token);
  if (steers) {
    bar.after(board);
    ask({ operation: 'list' });
  }
  stream.onmessage = event => {
    const told = JSON.parse(event.data);
    bar.textContent = told.words;
    if (told.over) {
      stream.close();
      board.remove();
      renew().catch(() => {});
    } else if (Date.now() - renewed > 2000 && !document.hidden) {
      renewed = Date.now();
      renew().catch(() => {});
      if (steers) ask({ operation: 'list' });
    }
  };
  stream.onerror = () => { bar.textContent = 'the run is not heard of any more'; };
})();
