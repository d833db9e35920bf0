import Libvirt
import Testing

@Suite struct XMLTests {
    @Test("x") func x() throws { #expect(try XMLElement(parsing: "<a b='1'/>")["b"] == "1") }
}
