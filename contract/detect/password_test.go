package detect

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/officefile"
)

// TestOpensPackage tries passwords on real packages: Office 2010's and Excelize's own way, and that of Office 2007.
func TestOpensPackage(t *testing.T) {
	t.Parallel()

	for file, password := range map[string]string{
		"excelize__encryptSHA512.xlsx":                      "password",
		"gembox.presentation.examples__PptxEncryption.pptx": "inpass",
		"gotenberg__protected_page_1.docx":                  "foo",
		"synth-built-in-password.xlsx":                      builtInPassword,
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data := sample(t, file)
			c, err := openCompound(t, data)
			require.NoError(t, err)
			info := c.Head("EncryptionInfo", maxEncryptionInfo)
			require.True(t, opensPackage(info, password))
			require.False(t, opensPackage(info, password+"!"))
			require.False(t, opensPackage(info, ""))
			for _, n := range []int{0, 7, 8, 100, len(info) - 50} { // a part of it does no harm
				require.False(t, opensPackage(info[:n], password))
			}
		})
	}
}

// TestOpensWorkbook tries passwords on FILEPASS records of real workbooks: by the three ways of Excel
// (nolze/msoffcrypto-tool@6d9e72c and apache/tika@2b70202).
func TestOpensWorkbook(t *testing.T) {
	t.Parallel()

	for password, record := range map[string]string{
		"123456789012345": "00006582b19e",
		"Password1234_": "0100040002000c0000007e0000000c00000000000000016800000480000080000000010000000000000000000000" +
			"4d006900630072006f0073006f0066007400200045006e00680061006e006300650064002000430072007900700074006f006700" +
			"720061007000680069006300200050007200" + "6f00760069006400650072002000760031002e003000000010000000" +
			"ff6b27f7b025eb08a8aca2c4477cc064b948eea818830e56ce56a60c822e7cb31400000055bb40447d2bae6b938d9ff54366053628abc435",
		"password": "01000100010068a75dab8dff01c4fa376368e65efc5fdaa7a36e2421fba36ab4ec92fa2aa09af7896935e1c3adb71628edb7543c09fa",
	} {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			body, err := hex.DecodeString(record)
			require.NoError(t, err)
			require.True(t, opensWorkbook(body, true, password))
			require.False(t, opensWorkbook(body, true, builtInPassword))
			for n := range body {
				require.False(t, opensWorkbook(body[:n], true, password))
			}
		})
	}
}

// TestPasswordBounds: a document cannot say how much work its password is.
func TestPasswordBounds(t *testing.T) {
	t.Parallel()

	data := sample(t, "excelize__encryptSHA512.xlsx")
	c, err := openCompound(t, data)
	require.NoError(t, err)
	info := string(c.Head("EncryptionInfo", maxEncryptionInfo))
	require.Contains(t, info, `spinCount="100000"`)
	for _, spins := range []string{"100001", "10000000", "4294967296", "-1", "", "x"} {
		changed := strings.Replace(info, `spinCount="100000"`, `spinCount="`+spins+`"`, 1)
		require.False(t, opensPackage([]byte(changed), "password"), spins)
	}
	for _, changed := range []string{
		strings.ReplaceAll(info, "SHA512", "MD2"), strings.ReplaceAll(info, "AES", "DES"),
		strings.ReplaceAll(info, `keyBits="256"`, `keyBits="7"`), strings.ReplaceAll(info, "saltValue", "saltless"),
	} {
		require.NotEqual(t, info, changed)
		require.False(t, opensPackage([]byte(changed), "password"))
	}
}

func openCompound(tb testing.TB, data []byte) (*officefile.Compound, error) {
	tb.Helper()
	budget := officefile.NewBudget(tb.Context(), maxUnits)
	return officefile.OpenCompound(officefile.NewWindow(bytes.NewReader(data), int64(len(data)), maxFetches, budget))
}
