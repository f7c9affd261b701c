/**
 * What each shell is told. All three do the same: they ask `ctl completion words -- WORD…` at each Tab, the last word being the one that is written,
 * and offer what it prints: a word a line, behind a tab what it is; `:files` stands for names of files.
 */

export const FILES_LINE = ":files";

const BASH = `# bash completion for ctl: source <(ctl completion bash)
_ctl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" word help
  COMPREPLY=()
  # After "--fleet=" bash stands behind the sign.
  [ "$current" != = ] || current=
  while IFS=$'\\t' read -r word help; do
    if [ "$word" = ${FILES_LINE} ]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
    else
      COMPREPLY+=("$word")
    fi
  done < <("$1" completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD-1}" "$current" 2>/dev/null)
}
complete -F _ctl ctl
`;

const ZSH = `#compdef ctl
# zsh completion for ctl: source <(ctl completion zsh), or as _ctl in a directory of $fpath
_ctl() {
  local line word
  local -a found shown
  for line in "\${(@f)$("\${(Q)words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    word="\${line%%$'\\t'*}"
    if [[ $word == ${FILES_LINE} ]]; then _files; return; fi
    [[ -n $word ]] || continue
    found+=("$word")
    if [[ $line == *$'\\t'* ]]; then shown+=("$word  -- \${line#*$'\\t'}"); else shown+=("$word"); fi
  done
  (( \${#found} )) || return 1
  if [[ "\${shown[*]}" == *' -- '* ]]; then compadd -l -d shown -a found; else compadd -a found; fi
}
if [[ "\${funcstack[1]-}" == _ctl ]]; then _ctl "$@"; elif (( $+functions[compdef] )); then compdef _ctl ctl; fi
`;

const FISH = `# fish completion for ctl: ctl completion fish | source
function __ctl_words
  set -l typed (commandline -opc)
  set -l current (commandline -ct)
  test (count $current) -gt 0; or set current ""
  for line in ($typed[1] completion words -- $typed[2..] $current 2>/dev/null)
    if test "$line" = ${FILES_LINE}
      __fish_complete_path "$current"
    else
      echo $line
    end
  end
end
complete -c ctl -f -a '(__ctl_words)'
`;

export const SHELL_SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
