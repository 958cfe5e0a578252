package problem_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
)

// The public client cannot import the catalog. This test reads its constants from the source, because contract does not
// import the client either.
func TestClientHasEveryCode(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "client", "code.go"), nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var constants []problem.Code
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			code, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			constants = append(constants, problem.Code(code))
		}
		return true
	})
	documented := slices.Collect(maps.Keys(problem.Codes()))
	documented = slices.AppendSeq(documented, maps.Keys(problem.Warnings()))
	require.ElementsMatch(t, documented, constants)
}
