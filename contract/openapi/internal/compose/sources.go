package compose

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// sources are what reflection does not tell about types: their comments, and the constants of a type.
type sources struct {
	// comments are those of types ("jobapi.Job") and of their members ("jobapi.Job.ID").
	comments map[string]string
	// constants are the values of the constants of a string type, in the order of the source.
	constants map[string][]string
}

// readSources reads the Go files of packages whose directories have the packages' names.
func readSources(directories ...string) (sources, error) {
	read := sources{comments: map[string]string{}, constants: map[string][]string{}}
	for _, directory := range directories {
		files, err := os.ReadDir(directory)
		if err != nil {
			return sources{}, err
		}
		for _, file := range files {
			if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(directory, file.Name()), nil, parser.ParseComments)
			if err != nil {
				return sources{}, err
			}
			read.add(filepath.Base(directory), parsed)
		}
	}
	return read, nil
}

func (s sources) add(pkg string, file *ast.File) {
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				s.addType(pkg+"."+spec.Name.Name, group.Doc, spec)
			case *ast.ValueSpec:
				s.addConstants(pkg, spec)
			}
		}
	}
}

func (s sources) addType(name string, doc *ast.CommentGroup, spec *ast.TypeSpec) {
	s.comments[name] = sentence(doc.Text())
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		for _, member := range field.Names {
			s.comments[name+"."+member.Name] = sentence(field.Doc.Text())
		}
	}
}

func (s sources) addConstants(pkg string, spec *ast.ValueSpec) {
	kind, ok := spec.Type.(*ast.Ident)
	if !ok {
		return
	}
	for _, value := range spec.Values {
		if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			if err == nil {
				s.constants[pkg+"."+kind.Name] = append(s.constants[pkg+"."+kind.Name], text)
			}
		}
	}
}

// sentence returns a comment on one line.
func sentence(comment string) string { return strings.Join(strings.Fields(comment), " ") }

// nameOf returns the name of a type as sources has it.
func nameOf(t reflect.Type) string { return t.String() }
