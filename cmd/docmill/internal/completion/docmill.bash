# Completion of docmill for bash. Load it with: source <(docmill completion bash)
_docmill() {
    local cur words word
    # The words as they are written: readline splits them at "=" too.
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n "=:" -w words -c cur
    else
        words=("${COMP_WORDS[@]:0:COMP_CWORD+1}")
        cur=${COMP_WORDS[COMP_CWORD]}
    fi
    COMPREPLY=()
    while IFS= read -r word; do
        [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && word=${word#*=}
        COMPREPLY+=("$word")
    done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt -o default 2>/dev/null # files
    fi
}
complete -F _docmill docmill
