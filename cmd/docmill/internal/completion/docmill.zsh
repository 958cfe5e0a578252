#compdef docmill
# Completion of docmill for zsh. Save it as _docmill in a directory of $fpath, or load it with: source <(docmill completion zsh)
_docmill() {
    local -a found
    found=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=("${(@)found:#}")
    if (( ${#found} )); then
        compadd -- "${found[@]}"
    else
        _files
    fi
}
if [[ $funcstack[1] == _docmill ]]; then
    _docmill "$@"
else
    compdef _docmill docmill
fi
