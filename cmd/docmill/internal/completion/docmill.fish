# Completion of docmill for fish. Save it as ~/.config/fish/completions/docmill.fish.
function __docmill_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l found ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete --command docmill --no-files --arguments '(__docmill_complete)'
