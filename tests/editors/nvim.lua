-- Types in Neovim, set up as docs/editors.md says, and looks at what is shown.
-- `check.sh` beside this file calls it, in a copy of the shipped policy.

local child = vim.fn.jobstart({ vim.v.progpath, '--embed', '--headless' }, { rpc = true })

--- Runs Lua in the editor, with `...` as its arguments.
local function inside(code, ...)
  return vim.fn.rpcrequest(child, 'nvim_exec_lua', code, { ... })
end

local function typed(keys)
  vim.fn.rpcrequest(child, 'nvim_input', keys)
end

local done = 0

--- Fails unless `code`, run in the editor, gives true within ten seconds.
local function holds(what, code, ...)
  local args, got = { ... }, nil
  local good = vim.wait(10000, function()
    got = inside(code, unpack(args))
    return got == true
  end, 20)
  if not good then
    local shown = inside([[
      local told = vim.tbl_map(function(d) return ('%d: %s'):format(d.lnum + 1, d.message) end, vim.diagnostic.get(0))
      return { vim.fn.bufname(), vim.fn.mode(), told, vim.fn.execute('messages') }
    ]])
    io.stderr:write(('nvim: %s: %s\n%s\n'):format(what, vim.inspect(got), vim.inspect(shown)))
    os.exit(1)
  end
  done = done + 1
end

local function open(file)
  inside([[
    Told = {}
    vim.cmd.edit({ ..., bang = true })
  ]], file)
end

--- Puts the cursor on the first letter of a text, in the first line that has it.
local function at(text)
  holds('a line with ' .. text, [[
    vim.fn.cursor(1, 1)
    return vim.fn.search('\\V' .. ..., 'c') > 0
  ]], text)
end

--- The problems of the shown file are told, and are these.
local function problems(what, ...)
  holds(what, [[
    local told = Told[vim.uri_from_bufnr(0)]
    if not told or told < vim.lsp.util.buf_versions[vim.api.nvim_get_current_buf()] then return 'nothing told yet' end
    local codes = vim.tbl_map(function(problem) return problem.code end, vim.diagnostic.get(0))
    return vim.deep_equal(codes, { ... }) or codes
  ]], ...)
end

inside([[
  Told = {}
  local tell = vim.lsp.handlers['textDocument/publishDiagnostics']
  vim.lsp.handlers['textDocument/publishDiagnostics'] = function(problem, result, ...)
    tell(problem, result, ...)
    Told[result.uri] = result.version
  end
]])

for _, file in ipairs({ 'routing.toml', 'tools.yaml', 'prompts/risk.md', 'fixtures/mfa_fatigue.test.yml', 'rules/sign_in.yml' }) do
  open(file)
  holds(file .. ': the server is attached, at the folder of the policy', [[
    local client = vim.lsp.get_clients({ bufnr = 0, name = 'rulectl' })[1]
    return client ~= nil and vim.uv.fs_realpath(client.root_dir) == vim.uv.fs_realpath(vim.fn.getcwd())
  ]])
  problems(file .. ': nothing is wrong')
end

-- What is under the cursor.
at('user.session.start')
typed('K')
holds('K explains an event type', [[
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    local text = table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false), '\n')
    if vim.api.nvim_win_get_config(window).relative ~= '' and text:find("an event type of Okta's", 1, true) then return true end
  end
]])
at('condition: selection')
typed('W<C-]>')
holds('CTRL-] leads from a condition to its search', [[return vim.fn.getline('.') == '  selection:']])
at('[failed_login]')
typed('l<C-]>')
holds('CTRL-] leads from a correlation to its rule', [[return vim.fn.getline('.') == 'name: failed_login']])

-- A mistake, told while it is typed, and put right.
at('eventType: user.session.start')
typed('Wcg_user.session.strat<Esc>')
problems('an event type that Okta does not have is told', 'RL0151')
typed('gra')
holds('gra asks which change to make', [[return vim.fn.mode() == 'c' or vim.fn.mode()]])
typed('1<CR>')
holds('the first writes the word that was meant', [[
  return vim.fn.getline('.') == '    eventType: user.session.start' or vim.fn.getline('.')
]])
problems('the mistake is gone')

-- Completion, as CTRL-X CTRL-O asks for it.
at('eventType: user.session.start')
typed('Wcg_user.session.st<C-x><C-o>')
holds('CTRL-X CTRL-O completes an event type', [[
  local words = vim.tbl_map(function(item) return item.word end, vim.fn.complete_info({ 'items' }).items)
  return vim.list_contains(words, 'user.session.start') or words
]])
typed('<Esc>u')

-- Formatting: the layout of `rulectl fmt`.
open('rules/sign_in.yml')
problems('nothing is wrong again')
at('level: medium')
typed('ddp')
holds('a key is out of its order', [[return vim.fn.getline('.') == 'level: medium' and vim.fn.getline(vim.fn.line('.') - 1):find('^tags') ~= nil]])
inside('vim.lsp.buf.format()')
at('level: medium')
holds('formatting puts a key where it belongs', [[return vim.fn.getline(vim.fn.line('.') + 1):find('^tags') ~= nil]])

-- What breaks another file is told there.
open('routing.toml')
at('slot:risk')
typed('wwcwrisks<Esc>')
holds('a slot that is not there is told', [[return #vim.diagnostic.get(0) > 0]])

vim.fn.jobstop(child)
print(('nvim %s: %d checks passed'):format(tostring(vim.version()), done))
